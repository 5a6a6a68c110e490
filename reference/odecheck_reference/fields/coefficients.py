"""Scalar coefficients of a field (damping, rates, a spring): a number, a parameter, a learnt function.

A coefficient is c(t, theta) with its derivatives in (t, theta):
first (1 + params,), second (1 + params, 1 + params).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from .assembly import Map
from .field import AnyArray
from .functions import ACTIVATIONS
from .mlp import Mlp

Scalars = tuple[Any, AnyArray, AnyArray]


class Coefficient(Protocol):
    """c(t, theta), a scalar. `jet` gives its value, first and second derivative in (t, theta)."""

    @property
    def params(self) -> int: ...
    def jet(self, t: AnyArray, theta: AnyArray) -> Scalars: ...


@dataclass(frozen=True)
class Fixed:
    """c = number; not learnt: it takes no parameter."""

    number: float

    @property
    def params(self) -> int:
        return 0

    def jet(self, t: AnyArray, theta: AnyArray) -> Scalars:
        nought = t.ravel()[:1] * 0
        return nought[0] + self.number, nought, nought[:, None]


@dataclass(frozen=True)
class Free:
    """c = theta_0."""

    @property
    def params(self) -> int:
        return 1

    def jet(self, t: AnyArray, theta: AnyArray) -> Scalars:
        nought = theta[0] * 0
        return theta[0], np.array([nought, nought + 1]), np.full((2, 2), nought)


@dataclass(frozen=True)
class Learnt:
    """c = scale * s(theta_0), s out of ACTIVATIONS: sigmoid for a rate, softplus for a weight >= 0."""

    activation: str = "sigmoid"
    scale: float = 1.0

    @property
    def params(self) -> int:
        return 1

    def jet(self, t: AnyArray, theta: AnyArray) -> Scalars:
        return _learnt(self, float(theta[0])) if theta.dtype == np.float64 else self._jet(theta)

    def _jet(self, theta: AnyArray) -> Scalars:
        s = ACTIVATIONS[self.activation]
        nought = theta[0] * 0
        value, slope, bend = (self.scale * part(theta)[0] for part in (s.value, s.first, s.second))
        return value, np.array([nought, slope]), np.array([[nought, nought], [nought, bend]])


@lru_cache(maxsize=256)
def _learnt(coefficient: Learnt, number: float) -> Scalars:
    """The jet of a coefficient that time does not move: it is asked for at every step of a solve."""
    value, first, second = coefficient._jet(np.array([number]))  # pyright: ignore[reportPrivateUsage]
    first.flags.writeable = second.flags.writeable = False
    return value, first, second


@dataclass(frozen=True)
class OfTime:
    """c(t) = scale * s(n(t)), n a map of time alone: `Mlp(inputs=0, outputs=1, hidden=..., time=True)`."""

    net: Map
    activation: str = "sigmoid"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if (self.net.inputs, self.net.outputs) != (0, 1):
            raise ValueError(
                f"a coefficient's network maps {self.net.inputs} to {self.net.outputs} numbers, but it has "
                "to map time alone to one number: Mlp(inputs=0, outputs=1, hidden=..., time=True)"
            )

    @property
    def params(self) -> int:
        return self.net.params

    def jet(self, t: AnyArray, theta: AnyArray) -> Scalars:
        if t.ndim:
            raise TypeError("a coefficient that depends on time is asked at one time after another")
        inner = self.net.jet(t, np.empty((1, 0), dtype=theta.dtype), theta, 2)
        assert inner.first is not None and inner.second is not None
        n, n_p, n_pq = inner.value[0], inner.first[0, 0], inner.second[0, 0]
        s = ACTIVATIONS[self.activation]
        slope, bend = s.first(n)[0], s.second(n)[0]
        first = self.scale * slope * n_p
        second = self.scale * (slope * n_pq + bend * n_p[:, None] * n_p)
        return self.scale * s.value(n)[0], first, second


RATE = Learnt("sigmoid")
WEIGHT = Learnt("softplus")
NONE = Fixed(0.0)

EXAMPLES: Mapping[str, Coefficient] = {
    "fixed": Fixed(0.7),
    "free": Free(),
    "learnt": Learnt(scale=0.5),
    "learnt softplus": WEIGHT,
    "of time": OfTime(Mlp(0, 1, (2,), time=True), scale=0.8),
    "affine in time": OfTime(Mlp(0, 1, time=True), activation="softplus"),
}
