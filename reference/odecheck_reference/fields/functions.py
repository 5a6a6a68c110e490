"""Elementary functions that take float64, complex128 and object arrays of mpmath numbers alike.

Activations carry their first two derivatives, written by hand; `ACTIVATIONS` is the only list of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from .field import AnyArray

mp: Any = mpmath  # has no type stubs
special: Any = scipy.special

Elementwise = Callable[[AnyArray], AnyArray]


def _either(fast: Any, exact: Callable[..., Any]) -> Elementwise:
    """`fast` on machine numbers, `exact` on arrays of mpmath numbers."""
    objects = np.frompyfunc(exact, 1, 1)

    def function(x: AnyArray) -> AnyArray:
        array = np.asarray(x)
        return np.asarray(objects(array) if array.dtype == object else fast(array))

    return function


exp = _either(np.exp, mp.exp)
sin = _either(np.sin, mp.sin)
cos = _either(np.cos, mp.cos)
tanh = _either(np.tanh, mp.tanh)
sqrt = _either(np.sqrt, mp.sqrt)
log = _either(np.log, mp.log)
log1p = _either(np.log1p, mp.log1p)
erf = _either(special.erf, mp.erf)


def positive(x: AnyArray) -> Any:
    """Where the real part is >= 0. Analytic where both branches chosen by it agree."""
    return np.asarray(np.frompyfunc(_real_part, 1, 1)(x) >= 0, dtype=bool) if x.dtype == object else np.real(x) >= 0


def _real_part(x: Any) -> Any:
    return x.real


def sigmoid(x: AnyArray) -> AnyArray:
    """1 / (1 + e^-x), to full relative accuracy in both tails and without overflow."""
    right = positive(x)
    e = exp(np.where(right, -x, x))
    return np.where(right, e * 0 + 1, e) / (1 + e)


def softplus(x: AnyArray) -> AnyArray:
    """log(1 + e^x), without overflow: max(x, 0) + log1p(e^-|x|), the sign taken from the real part."""
    right = positive(x)
    return np.where(right, x, x * 0) + log1p(exp(np.where(right, -x, x)))


def _gelu_density(x: AnyArray) -> AnyArray:
    root = mp.sqrt(2 * mp.pi) if np.asarray(x).dtype == object else math.sqrt(2 * math.pi)
    return exp(-x * x / 2) / root


def _gelu_cumulative(x: AnyArray) -> AnyArray:
    root = mp.sqrt(2) if np.asarray(x).dtype == object else math.sqrt(2)
    return (1 + erf(x / root)) / 2


@dataclass(frozen=True)
class Activation:
    """An elementwise function with its first and second derivative."""

    name: str
    value: Elementwise
    first: Elementwise
    second: Elementwise


def _identity(x: AnyArray) -> AnyArray:
    return x


def _ones(x: AnyArray) -> AnyArray:
    return x * 0 + 1


def _zeros(x: AnyArray) -> AnyArray:
    return x * 0


def _tanh_first(x: AnyArray) -> AnyArray:
    s = tanh(x)
    return 1 - s * s


def _tanh_second(x: AnyArray) -> AnyArray:
    s = tanh(x)
    return -2 * s * (1 - s * s)


def _sigmoid_first(x: AnyArray) -> AnyArray:
    s = sigmoid(x)
    return s * (1 - s)


def _sigmoid_second(x: AnyArray) -> AnyArray:
    s = sigmoid(x)
    return s * (1 - s) * (1 - 2 * s)


ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("tanh", tanh, _tanh_first, _tanh_second),
        Activation("softplus", softplus, sigmoid, _sigmoid_first),
        Activation("sine", sin, cos, lambda x: -sin(x)),
        Activation(
            "gelu",
            lambda x: x * _gelu_cumulative(x),
            lambda x: _gelu_cumulative(x) + x * _gelu_density(x),
            lambda x: (2 - x * x) * _gelu_density(x),
        ),
        Activation("sigmoid", sigmoid, _sigmoid_first, _sigmoid_second),
        Activation("identity", _identity, _ones, _zeros),
    )
}
