"""A torch module in the place of a numpy field, for a model without a hand-derived twin.

The reference's own solvers and sensitivities then run on values and derivatives that torch computed: what is verified
is the solve and its gradient, not the field. A problem with such a field says `independent=False`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np
import torch
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Jet, Pulled
from torch import Tensor, nn

from odecheck.compat import is_forward_mode, is_transforming


class Flattened(nn.Module):
    """A module on states (batch, *features), seen as a module on states (batch, state).

    Args:
        inner: a module called as inner(t, y), y (batch, *features).
        features: the axes behind the batch, of which state is the product.
    """

    def __init__(self, inner: nn.Module, features: tuple[int, ...]) -> None:
        super().__init__()
        self.inner, self.features = inner, features

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The module's value at (t, y), as rows (batch, state)."""
        shape = (len(y), *self.features)
        shaped = y if y.shape == shape else y.reshape(shape)
        if not (torch.is_grad_enabled() or is_forward_mode() or is_transforming()):
            # a field cannot ask for its gradient in a view that was made without a graph; a tangent would be cut off
            shaped = shaped.detach()
        value = self.inner(t, shaped)
        # another shape than the state's is left alone, for validation to see
        return value.reshape(y.shape) if value.shape == (len(y), *self.features) else value


class StandIn(nn.Module):
    """A module that stands for another field, by default the module `inner`, and bears its name."""

    @property
    def called(self) -> str:
        """The name of that field, or of its class."""
        inner = self.inner
        return inner.called if isinstance(inner, StandIn) else type(inner).__name__

    def own_name(self, name: str) -> str:
        """How the user calls one of its parameters."""
        return name


def own_name(module: nn.Module, name: str) -> str:
    """How the user's own module calls a parameter, of which a module that holds it as `inner` says "inner."."""
    while isinstance(module, Flattened | StandIn) and name.startswith("inner."):
        module, name = cast(nn.Module, module.inner), name.removeprefix("inner.")
    return module.own_name(name) if isinstance(module, StandIn) else name


@dataclass(frozen=True, eq=False)
class ModuleFactory:
    """What a `Subject` calls its field: theta (params,) → a copy of a module with theta as its trainable parameters.

    Attributes:
        module: the module that is copied, and never changed.
    """

    module: nn.Module

    @property
    def __name__(self) -> str:
        """The name of the module's class."""
        inner = self.module.inner if isinstance(self.module, Flattened) else self.module
        return inner.called if isinstance(inner, StandIn) else type(inner).__name__

    def __call__(self, theta: Tensor) -> nn.Module:
        """A copy of the module with theta (params,) as its parameters, in the order of `parameters()`."""
        made = copy.deepcopy(self.module)
        nn.utils.vector_to_parameters(theta.detach().clone(), trainable(made).values())
        return made


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, by name, in the order of `parameters()`."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def flat_parameters(module: nn.Module) -> Array:
    """The trainable parameters one after the other, as float64: theta (params,)."""
    return np.concatenate([np.zeros(0), *(p.detach().double().numpy().ravel() for p in trainable(module).values())])


# rows of several times that are asked for at once: the graph of all has a share for each pair of them
ROWS_AT_ONCE = 16
# first derivatives of which second ones are asked for together: beyond, passes over ever larger graphs take longer
SECOND_AT_ONCE = 160
# numbers of second derivatives that are asked for at a time
NUMBERS = 2**20


@dataclass(frozen=True, eq=False)
class CallbackField:
    """The reference's `Field` by calls into a float64 module: module(t, y) with y (batch, *features).

    Derivatives are torch's, by reverse mode, of all rows at once: rows may not see each other.

    Attributes:
        module: a float64 module; its trainable parameters are theta. A copy is called, never the module itself: one
            that remembers its first call is still as it was before it.
        features: the axes of one row of y.
    """

    module: nn.Module
    features: tuple[int, ...]

    def __getstate__(self) -> dict[str, Any]:
        return {"module": self.module, "features": self.features}

    @property
    def state(self) -> int:
        """How many numbers a row has."""
        return prod(self.features)

    @property
    def params(self) -> int:
        """How many trainable numbers the module has."""
        return sum(p.numel() for p in trainable(self.module).values())

    @property
    def parts(self) -> Mapping[str, slice]:
        """One part, "y": the whole state."""
        return {"y": slice(0, self.state)}

    @cached_property
    def _asked(self) -> nn.Module:
        return copy.deepcopy(self.module)

    def jet(self, t: Any, y: Any, theta: Any, order: int) -> Jet:
        """The field with its derivatives in (t, y, theta).

        Args:
            t: a number, or a time for each row, (batch, 1), of a module that is made of broadcasting operations.
            y: (batch, state), float64.
            theta: (params,), float64.
            order: 0, 1 or 2: the highest derivative wanted.

        Returns:
            value (batch, state), first (batch, state, N), second (batch, state, N, N), N = 1 + state + params.
        """
        several = np.ndim(t) == 2
        if several and self.features != y.shape[1:]:
            raise TypeError("a time for each row has no place beside states with several axes")
        held = max(1, len(y)) if order == 0 and not several else self._rows_at_once(order)
        parts = [
            self._jet(t[i : i + held] if several else t, y[i : i + held], theta, order)
            for i in range(0, max(1, len(y)), held)
        ]
        if len(parts) == 1:
            return parts[0]
        return Jet(*(None if x[0] is None else np.concatenate(x) for x in zip(*map(_blocks, parts), strict=True)))  # type: ignore[arg-type]

    @property
    def rows_at_once(self) -> int:
        """So many rows of several times are asked for together, and others after them."""
        return ROWS_AT_ONCE

    def _rows_at_once(self, order: int) -> int:
        """Rows that are asked for together: each row's derivatives are taken of a graph that holds all of them."""
        if order < 2:
            return ROWS_AT_ONCE
        return max(1, min(ROWS_AT_ONCE, SECOND_AT_ONCE // (self.state * (1 + self.state + self.params))))

    def _jet(self, t: Any, y: Any, theta: Any, order: int) -> Jet:
        with torch.enable_grad():
            z = self._variables(t, y, theta, order)
            value = self._call(*z)
            first = _rows(value, z, keep=order > 1) if order else None
            second = None if first is None or order < 2 else _second(first, z)
        return Jet(_numpy(value), None if first is None else _numpy(first), None if second is None else _numpy(second))

    def pull(self, t: Any, y: Any, theta: Any, a: Any) -> Pulled:
        """As `odecheck_reference.fields.pull`: one reverse pass, whatever the number of parameters."""
        with torch.enable_grad():
            z = self._variables(t, y, theta, 1)
            value = self._call(*z)
            found = _slopes((value * torch.tensor(np.asarray(a))).sum(), z, keep=False)
        return self._pulled(value, found, len(y))

    def push(self, t: Any, y: Any, theta: Any, dy: Any, dtheta: Any) -> tuple[Array, Array]:
        """F and F_y dy + F_theta dtheta, (batch, state) each, by reverse mode twice."""
        a = np.zeros((len(y), self.state))
        base, along = self.pull_along(t, y, theta, a, dy, dtheta, a)
        return base.value, along.value

    def pull_along(self, t: Any, y: Any, theta: Any, a: Any, dy: Any, dtheta: Any, da: Any) -> tuple[Pulled, Pulled]:
        """As `odecheck_reference.lifted.pull_along`, by reverse mode twice.

        With s = a·F, s_z moves along dz by s_zz dz, and along da by da·F_z: both are the slope of s_z dz + da·F.
        """
        with torch.enable_grad():
            z = self._variables(t, y, theta, 1)
            cotangent = torch.tensor(np.asarray(a), requires_grad=True)
            moved = [torch.tensor(np.asarray(x)) for x in (np.zeros(()), dy, dtheta)]
            value = self._call(*z)
            found = _slopes((value * cotangent).sum(), z, keep=True)
            slope = sum((g * d).sum() for g, d in zip(found, moved, strict=True))
            total = slope + (value * torch.tensor(np.asarray(da))).sum()
            *second, along = _slopes(total, (*z, cotangent), keep=False)
        base = self._pulled(value, found, len(y))
        return base, self._pulled(along, second, len(y))

    def _pulled(self, value: Tensor, found: Sequence[Tensor], rows: int) -> Pulled:
        of_t, of_y, of_theta = (_numpy(g) for g in found)
        return Pulled(_numpy(value), np.full(rows, float(of_t) / rows), of_y, of_theta)

    def _variables(self, t: Any, y: Any, theta: Any, order: int) -> tuple[Tensor, Tensor, Tensor]:
        def variable(x: Any) -> Tensor:
            return torch.tensor(x, dtype=torch.float64, requires_grad=order > 0)

        return variable(t if np.ndim(t) == 2 else float(t)), variable(np.asarray(y)), variable(np.asarray(theta))

    @cached_property
    def _places(self) -> list[tuple[nn.Module, str, int]]:
        """Wherever the module holds one of its trainable parameters, and the number of it.

        `torch.func.functional_call` loses the parameters of a submodule that is held under two names.
        """
        number = {id(p): i for i, p in enumerate(trainable(self._asked).values())}
        held = [(m, name, p) for m in self._asked.modules() for name, p in _held(m).items()]
        return [(m, name, number[id(p)]) for m, name, p in held if id(p) in number]

    @cached_property
    def _shapes(self) -> list[torch.Size]:
        return [p.shape for p in trainable(self._asked).values()]

    def _call(self, t: Tensor, y: Tensor, theta: Tensor) -> Tensor:
        places, shapes = self._places, self._shapes
        pieces = torch.split(theta, [shape.numel() for shape in shapes]) if shapes else ()
        at = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        shaped = y if self.features == y.shape[1:] else y.reshape(len(y), *self.features)
        own = [_held(m)[name] for m, name, _ in places]
        try:
            for m, name, i in places:
                _held(m)[name] = at[i]
            value = self._asked(t, shaped)
        finally:
            for (m, name, _), p in zip(places, own, strict=True):
                _held(m)[name] = p
        return value.reshape(y.shape)


def _held(module: nn.Module) -> dict[str, Any]:
    """The parameters that a module itself holds."""
    return module.__dict__["_parameters"]


def _blocks(jet: Jet) -> tuple[Array | None, Array | None, Array | None]:
    return jet.value, jet.first, jet.second


def _rows(value: Tensor, z: tuple[Tensor, Tensor, Tensor], *, keep: bool) -> Tensor:
    """Derivatives of value[b, i] in (t, y[b], theta): (batch, outputs, N)."""
    t, y, theta = z
    (batch, d), outputs = y.shape, value.shape[1]
    got_t, got_y, got_theta = _pulled(value.reshape(-1), (t, y, theta), keep=keep)
    own = torch.arange(batch)
    # each row may have a time of its own
    of_t = got_t.reshape(batch, outputs, batch, 1)[own, :, own] if t.ndim else got_t.reshape(batch, outputs, 1)
    blocks = (
        of_t,
        got_y.reshape(batch, outputs, batch, d)[own, :, own],
        got_theta.reshape(batch, outputs, -1),
    )
    return torch.cat(blocks, dim=-1)


def _second(first: Tensor, z: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """(batch, state, N, N), as many components of the first derivative at a time as memory is at hand for."""
    batch, d, n = first.shape
    outputs = first.reshape(batch, d * n)
    held = max(1, NUMBERS // (batch * (1 + z[1].numel() + z[2].numel())))
    both = torch.cat([_rows(part, z, keep=False) for part in torch.split(outputs, held, dim=1)], dim=1).reshape(
        batch, d, n, n
    )
    return (both + both.transpose(-1, -2)) / 2


def _slopes(of: Tensor, z: tuple[Tensor, ...], *, keep: bool) -> list[Tensor]:
    """The slopes of a scalar, zero where it does not depend on a variable."""
    if not of.requires_grad:
        return [torch.zeros_like(x) for x in z]
    # torch's types do not know that allow_unused gives None
    got = cast(Sequence[Tensor | None], torch.autograd.grad(of, z, create_graph=keep, allow_unused=True))
    return [torch.zeros_like(x) if g is None else g for x, g in zip(z, got, strict=True)]


def _pulled(outputs: Tensor, z: tuple[Tensor, ...], *, keep: bool) -> tuple[Tensor, ...]:
    """Derivatives of every output (m,) in every variable: (m, *shape), zero where there is no dependence."""
    m = len(outputs)
    zeros = tuple(x.new_zeros(m, *x.shape) for x in z)
    if not outputs.requires_grad:
        return zeros
    basis = torch.eye(m, dtype=outputs.dtype)
    try:
        got = torch.autograd.grad(
            outputs, z, basis, retain_graph=True, create_graph=keep, allow_unused=True, is_grads_batched=True
        )
    except RuntimeError:  # an operation without a batching rule: one output after another
        rows = [
            torch.autograd.grad(outputs, z, e, retain_graph=True, create_graph=keep, allow_unused=True) for e in basis
        ]
        got = [None if any(r is None for r in column) else torch.stack(column) for column in zip(*rows, strict=True)]
    return tuple(zero if g is None else g for g, zero in zip(got, zeros, strict=True))


def _numpy(x: Tensor) -> Array:
    return x.detach().double().numpy().copy()
