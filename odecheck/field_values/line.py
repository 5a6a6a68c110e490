"""A torch module along a line in (t, y, theta): its values, and what torch says of its derivatives."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward_ad
from numpy.typing import NDArray
from odecheck_reference.bounded import Array
from torch import Tensor, nn
from torch.func import functional_call

from odecheck.foreign import said

EPS = float(np.finfo(np.float64).eps)
# functions of torch without types, or whose types do not know of None
_pairs: Any = forward_ad
_grad: Callable[..., Sequence[Tensor | None]] = torch.autograd.grad


def to_torch(array: NDArray[Any]) -> Tensor:
    """A tensor that shares an array's memory."""
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]


def _split(flat: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    return flat.split(sizes)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@dataclass(frozen=True, eq=False)
class Point:
    """A place, or a direction.

    Args:
        t: A time.
        y: (rows, *features), float64.
        theta: (params,), float64.
    """

    t: float
    y: Tensor
    theta: Tensor

    def moved(self, h: float, along: Point) -> Point:
        """The place h times the direction further."""
        return Point(self.t + h * along.t, self.y + h * along.y, torch.add(self.theta, along.theta, alpha=h))


class NoBackward(Exception):
    """The backward pass of a field raised: the message says what."""


class Asked:
    """A float64 copy of a module, asked at any (t, y, theta).

    Its parameters are views of one tensor, so that a step in all of them is one operation however many there are.

    Args:
        module: Called as module(t, y).
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).double()
        self.names = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        own = list(self.names.values())
        self.theta = torch.cat([torch.zeros(0, dtype=torch.float64), *(p.detach().reshape(-1) for p in own)])
        self._flat, self._pieces = self.theta.clone(), [p.numel() for p in own]
        for p, piece in zip(own, _split(self._flat, self._pieces) if own else (), strict=True):
            p.data = piece.view(p.shape)

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """The parameters of a theta (params,), by name."""
        pieces = _split(theta, self._pieces) if self.names else ()
        return {k: x.view(p.shape) for (k, p), x in zip(self.names.items(), pieces, strict=True)}

    def restored(self) -> nn.Module:
        """The module that was asked, with the parameters that it came with."""
        self._flat.copy_(self.theta)
        return self.module

    def scales(self) -> Tensor:
        """How long a step in each parameter is: its own size and a tenth of its tensor's, (params,)."""
        whole = float(self.theta.square().mean().sqrt()) if len(self.theta) else 0.0
        found = [torch.zeros(0, dtype=torch.float64)]
        for p in self.named(self.theta).values():
            typical = float(p.square().mean().sqrt()) if p.numel() else 0.0
            found.append((p.abs() + 0.1 * (typical or whole or 1.0)).reshape(-1))
        return torch.cat(found)

    def value(self, at: Point) -> Array:
        """The field's values, without a graph: (rows * state,). NaN in rows that it refuses, outside of its domain."""
        self._flat.copy_(at.theta)
        return self._values(at.t, at.y.clone())

    def along(self, at: Point, direction: Point, h: float) -> Array:
        """The values at at + h · direction, NaN as those of `value`."""
        torch.add(at.theta, direction.theta, alpha=h, out=self._flat)
        return self._values(at.t + h * direction.t, at.y + h * direction.y)

    def _values(self, t: float, y: Tensor) -> Array:
        time = torch.tensor(t, dtype=torch.float64)
        with torch.no_grad():
            try:
                return np.array(self.module(time, y).reshape(-1).numpy())
            except Exception:
                if len(y) < 2:
                    return np.full(y.numel(), np.nan)
        return np.concatenate([self._values(t, row[None]) for row in y])

    def forward_mode(self, at: Point, v: Point) -> Array | None:
        """J v by dual numbers; None where an operation of the field has no forward mode."""
        try:
            with warnings.catch_warnings(), forward_ad.dual_level():
                # torch loads its rules of forward mode by what it calls deprecated itself: nothing that a user can mend
                warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
                theta, by = self.named(at.theta), self.named(v.theta)
                t = _pairs.make_dual(*(torch.tensor(x, dtype=torch.float64) for x in (at.t, v.t)))
                named = {k: _pairs.make_dual(p, by[k]) for k, p in theta.items()}
                value: Tensor = functional_call(self.module, named, (t, _pairs.make_dual(at.y.clone(), v.y)))
                got: Tensor | None = _pairs.unpack_dual(value).tangent
                return np.zeros(value.numel()) if got is None else np.array(got.detach().reshape(-1).numpy())
        except (RuntimeError, NotImplementedError):
            return None

    def reverse_mode(self, at: Point, v: Point, w: Array, *, twice: bool = False) -> Pulled:
        """<w, J v> by reverse mode, and with `twice` also <w, g''(0)> of g(h) = f(at + h v) by reverse over reverse."""
        self._flat.copy_(at.theta)
        t = torch.tensor(at.t, dtype=torch.float64, requires_grad=True)
        y = at.y.clone().requires_grad_()
        inputs = [t, y, *self.names.values()]
        along = [torch.tensor(v.t, dtype=torch.float64), v.y, *self.named(v.theta).values()]
        with torch.enable_grad():
            value = self.module(t, y * 1.0)
            if not value.requires_grad:
                return Pulled(0.0, 0.0, 0.0, tuple(self.names))
            weight = torch.tensor(w, dtype=torch.float64).reshape(value.shape)
            try:
                got = _grad(value, inputs, weight, allow_unused=True, create_graph=twice)
            except Exception as error:
                raise NoBackward(said(error)) from error
            terms = [(g, x) for g, x in zip(got, along, strict=True) if g is not None]
            products = [(g * x).sum() for g, x in terms]
            second = _again(products, inputs, along) if twice else 0.0
        untouched = [k for k, g in zip(self.names, got[2:], strict=True) if g is None or not g.any()]
        loss = 16 * EPS * sum(float((g.detach() * x).abs().sum()) for g, x in terms)
        shares = tuple(float(p.detach()) for p in products)
        return Pulled(sum(shares), second, loss, tuple(untouched))


@dataclass(frozen=True)
class Pulled:
    """What reverse mode says along a direction.

    Attributes:
        first: <w, J v>.
        second: <w, g''>, None where the backward pass has no derivative.
        loss: Rounding of `first`.
        untouched: Parameters whose gradient is zero.
    """

    first: float
    second: float | None
    loss: float
    untouched: tuple[str, ...]


def _again(products: list[Tensor], inputs: list[Tensor], along: list[Tensor]) -> float | None:
    live = [p for p in products if p.requires_grad]
    if not live:
        return 0.0
    try:
        got = _grad(torch.stack(live).sum(), inputs, allow_unused=True)
    except RuntimeError:
        return None
    return sum(float((g * x).sum()) for g, x in zip(got, along, strict=True) if g is not None)
