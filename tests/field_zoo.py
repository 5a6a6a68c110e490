"""Numpy fields with every option, as their own files give them, and how their derivatives are had in other ways."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import odecheck_reference.fields
import pytest
import torch
from odecheck_reference.fields import Field, HeavyBall, Jet, Linear, Mlp, split
from torch import Tensor
from torch.func import functional_call, hessian, jacrev

from odecheck.fields.from_reference import build, torch_twin

NET = Mlp(2, 2, (3,), time=True)
STEP = 1e-30  # a complex step has no cancellation: as small as it likes


# --- looking for fields and their examples -----------------------------------------------------------------------


def files() -> list[Any]:
    """The modules of the reference's folder of fields."""
    folder = odecheck_reference.fields
    return [import_module(one.name) for one in iter_modules(folder.__path__, f"{folder.__name__}.")]


def classes(module: Any) -> list[type]:
    """The fields and coefficients that a module defines: public, with a jet and parameters; no protocols, no bases."""
    return [
        made
        for name, made in vars(module).items()
        if inspect.isclass(made)
        and made.__module__ == module.__name__
        and not name.startswith("_")
        and hasattr(made, "jet")
        and hasattr(made, "params")
        and not getattr(made, "_is_protocol", False)
        and not inspect.isabstract(made)
    ]


def without_example(modules: Sequence[Any]) -> list[str]:
    """Fields that no example of their own file is, in words."""
    return [
        f"{module.__name__}.{made.__name__} has no example, so that no test looks at its derivatives. "
        f'What to type, at the end of that file: EXAMPLES = {{"a name": {made.__name__}(...)}}'
        for module in modules
        for made in classes(module)
        if not any(type(one) is made for one in getattr(module, "EXAMPLES", {}).values())
    ]


def not_public(modules: Sequence[Any], package: Any) -> list[str]:
    """Fields that cannot be imported from the package, where type checkers look for them, in words."""
    return [
        f"{made.__name__} of {module.__name__} is not in {package.__name__}.__all__. What to type, in its "
        f"__init__.py: from .{module.__name__.rsplit('.', 1)[-1]} import {made.__name__}, and the name in __all__"
        for module in modules
        for made in classes(module)
        if made.__name__ not in package.__all__ or getattr(package, made.__name__, None) is not made
    ]


def without_twin(examples: Mapping[str, Field]) -> list[str]:
    """Examples that no torch module is the twin of, in words."""
    found: list[str] = []
    for name, field in examples.items():
        try:
            build(field)
        except TypeError as error:
            found.append(f"{name}: {error}")
    return found


def examples(modules: Sequence[Any]) -> dict[str, Field]:
    """All examples by name; a coefficient as the damping of a heavy ball of a linear field.

    Raises ValueError where two files use one name.
    """
    found: dict[str, Field] = {}
    for module in modules:
        for name, one in getattr(module, "EXAMPLES", {}).items():
            whole = one if isinstance(one, Field) else HeavyBall(Linear(2), one)
            title = name if whole is one else f"damping: {name}"
            if title in found:
                raise ValueError(f"two examples are called {title!r}: give that of {module.__name__} another name")
            found[title] = whole
    return found


FIELDS = examples(files())
each_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())


def point(field: Field, seed: int, batch: int = 2) -> tuple[float, Any, Any]:
    """t, y, theta: away from zero in the parts that have to be positive."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(batch, field.state))
    if "v" in field.parts:
        y[:, field.parts["v"]] = np.abs(y[:, field.parts["v"]]) + 0.1
    theta = rng.normal(size=field.params)
    theta += 0.2 * np.sign(theta)  # the logistic field divides by one of them
    return rng.normal(), y, theta


# --- derivatives in other ways -----------------------------------------------------------------------------------


def mismatch(observed: Any, expected: Any) -> float:
    """The largest difference, relative to the largest entry."""
    assert observed.shape == expected.shape
    return float(np.max(np.abs(observed - expected)) / max(np.max(np.abs(expected)), 1e-300))


def complex_step(field: Field, t: Any, y: Any, theta: Any, order: int) -> Any:
    """d(jet of `order`)/dz by a complex step in every component: the derivative axis comes last."""
    columns: list[Any] = []
    for component in range(1 + y.shape[1] + len(theta)):
        z: list[Any] = [np.array(part, dtype=complex) for part in (t, y, theta)]
        if component == 0:
            z[0] += 1j * STEP
        elif component <= y.shape[1]:
            z[1][:, component - 1] += 1j * STEP
        else:
            z[2][component - 1 - y.shape[1]] += 1j * STEP
        jet = field.jet(z[0], z[1], z[2], order)
        columns.append((jet.value, jet.first)[order].imag / STEP)
    return np.stack(columns, axis=-1)


def joint(module: Any, state: int) -> Callable[[Tensor], Tensor]:
    """A torch field as a function of z = (t, y, theta) of one row."""
    names = [name for name, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]

    def function(z: Tensor) -> Tensor:
        pieces = z[1 + state :].split([shape.numel() for shape in shapes])
        values = {n: p.reshape(s) for n, p, s in zip(names, pieces, shapes, strict=True)}
        return functional_call(module, values, (z[0], z[None, 1 : 1 + state]))[0]

    return function


def twin(field: Field, seed: int = 0) -> Any:
    """The torch module of a field at the parameters of this seed."""
    return torch_twin(field)(torch.tensor(point(field, seed)[2]))


def of_twin(function: Callable[[Tensor], Tensor], field: Field, seed: int) -> Jet:
    """Value, first and second derivatives of a twin by automatic differentiation, at the point of this seed."""
    t, y, theta = point(field, seed, batch=1)
    z = torch.tensor(np.concatenate([[t], y[0], theta]))
    made = (function(z), jacrev(function)(z), hessian(function)(z))
    return Jet(*(part.detach().numpy()[None] for part in made))


def disagreement(field: Field, seen: Jet, seed: int) -> tuple[float, float, float]:
    """How far a jet at the point of this seed is from the numpy formula: value, first and second derivatives.

    The derivatives are had by complex steps of the value and of the first derivative, and so without the second
    derivative that was made by hand.
    """
    t, y, theta = point(field, seed, batch=1)
    return (
        mismatch(seen.value, field.jet(t, y, theta, 0).value),
        mismatch(seen.first, complex_step(field, t, y, theta, 0)),
        mismatch(seen.second, complex_step(field, t, y, theta, 1)),
    )


def blocks(field: Field) -> dict[str, slice]:
    """Where t, y and theta lie in z."""
    return dict(zip(("t", "y", "theta"), split(field.state), strict=True))


def wrong_seconds(field: Field, second: Any) -> Iterator[tuple[str, Any]]:
    """Second derivatives (batch, state, N, N) with one mistake each, by name; only such that change something.

    Per block of (t, y, theta) with itself and each other: its largest entry times 1.0001, a mixed term that is
    missing, all of the block missing, off by a ten-thousandth, transposed in component and state.
    """
    for (name, p), (other, q) in itertools.product(blocks(field).items(), repeat=2):
        block = second[..., p, q]
        if not block.any():
            continue
        row, k, i, j = np.unravel_index(np.argmax(np.abs(block)), block.shape)
        at = row, k, p.start + i, q.start + j
        back = row, k, q.start + j, p.start + i
        yield f"{name}, {other}: an entry times 1.0001", changed(second, [at], 1.0001)
        yield f"{name}, {other}: an entry times 1.0001, on both sides", changed(second, {at, back}, 1.0001)
        yield f"{name}, {other}: a mixed term missing", changed(second, {at, back}, 0)
        whole = second.copy()
        whole[..., p, q] *= 1.0001
        yield f"{name}, {other}: times 1.0001", whole
        gone = second.copy()
        gone[..., p, q] = 0
        yield f"{name}, {other}: missing", gone
        if name == "y":
            turned = second.copy()
            turned[..., p, q] = np.swapaxes(block, 1, 2)
            if np.abs(turned - second).max() > 1e-9 * np.abs(second).max():
                yield f"{name}, {other}: transposed", turned


def changed(second: Any, places: Collection[Any], by: float) -> Any:
    """A copy with some entries multiplied."""
    made = second.copy()
    for place in places:
        made[place] *= by
    return made


class WrongSecond:
    """A twin whose value and first derivatives are right, and whose second derivatives at every z are off by `gap`.

    gap: (state, N, N), symmetric: with w = z - (z, held fixed), the term w' gap w / 2 is zero and so is its slope.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], gap: Any) -> None:
        self.function, self.gap = function, torch.tensor(gap)

    def __call__(self, z: Tensor) -> Tensor:
        return self.function(z) + bent(z, self.gap)


def bent(z: Tensor, gap: Tensor) -> Tensor:
    """w' gap w / 2 with w = z - (z, held fixed)."""
    w = Zero.apply(z)
    return torch.einsum("kpq,p,q->k", gap, w, w) / 2


class Zero(torch.autograd.Function):
    """Zero, with the derivative of the identity."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.zeros_like(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return tangents[0].clone()
