"""The field of a solve as a function of numpy vectors in float64, with its vector-Jacobian products."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from odecheck_reference.path import OutOfBudget
from torch import Tensor

from odecheck.foreign import said

from .call import Call
from .event_function import Event
from .precision import cheapest
from .repeat import array, posed_again, real

Array = NDArray[np.float64]
Along = Callable[[float], Array]  # a solution as a function of time


class NoField(Exception):
    """The field cannot be asked in float64: the message says what happened."""


class Field64:
    """f(t, y) and its derivatives, everything flat: y (states,), float64.

    leaves: by name, the tensors that require grad. mode: how the field was brought to float64, see `precision`.
    ends: the event function in its old state, and event: what it tells; None where the times are fixed.
    evaluations: so far. deadline: process time, in seconds, at which OutOfBudget is raised.
    """

    def __init__(self, call: Call, f: Any, leaves: dict[str, Tensor]) -> None:
        self.call, self.leaves, self._f = call, leaves, f
        self.shapes = [y.shape for y in call.start]
        self.sizes = [y.numel() for y in call.start]
        self.times: Array = array(call.window.double()).copy()
        self.start: Array = array(self.flat([y.double() for y in call.start])).copy()
        self.evaluations, self.deadline, self.most = 0, float("inf"), float("inf")
        self.mode, self._mode, self.quiet = "nothing", None, False
        self.ends: Any = None
        self.event: Event | None = None
        self._choose()

    @property
    def states(self) -> int:
        """How many numbers a state is."""
        return sum(self.sizes)

    def at(self, share: float) -> float:
        """The time at this share of the way."""
        return float(self.times[0] + (self.times[-1] - self.times[0]) * share)

    def flat(self, parts: list[Tensor]) -> Tensor:
        """Parts of a state as one vector."""
        return torch.cat([x.reshape(-1) for x in parts])

    def parts(self, y: Tensor) -> list[Tensor]:
        """A vector as parts of a state."""
        return [x.reshape(s) for x, s in zip(y.split(self.sizes), self.shapes, strict=True)]

    def vector(self, y: Array) -> Tensor:
        """A state as a tensor of its own where the field takes it."""
        return torch.from_numpy(np.array(y)).to(self.call.device)

    def time(self, t: float) -> Tensor:
        """A time as a tensor () of its own where the field takes it."""
        return torch.tensor(float(t), dtype=torch.float64, device=self.call.times.device)

    def value(self, t: Tensor, y: list[Tensor]) -> Tensor:
        """The field's value as one vector, with its graph. Raises OutOfBudget."""
        self.evaluations += 1
        if self.evaluations > self.most or time.process_time() > self.deadline:
            raise OutOfBudget(f"after {self.evaluations:,} evaluations of the field")
        if self._mode is None:
            return self._call(t, y)
        with self._mode():
            return self._call(t, y)

    def _call(self, t: Tensor, y: list[Tensor]) -> Tensor:
        try:
            out = self.flat(self.call.posed.parts(self._f(t, self.call.posed.packed(y))))
        except Exception:  # a multistep method looks beyond the last time, where a field may refuse the state
            if min(self.times) <= float(t) <= max(self.times):
                raise
            return torch.full((self.states,), torch.nan, dtype=torch.float64, device=self.call.device)
        return out.double() if out.dtype != torch.float64 else out

    def f(self, t: float, y: Array) -> Array:
        """The slope at a time and a state, both flat: (states,)."""
        with torch.set_grad_enabled(not self.quiet):
            out = self.value(self.time(t), self.parts(self.vector(y)))
        return array(out)

    def vjp(self, t: float, y: Array, a: Array, leaves: bool = False) -> tuple[Array, Array, list[Tensor | None]]:
        """f(t, y), aᵀ ∂f/∂y, and where asked aᵀ ∂f/∂leaf for each leaf; None for one that the graph does not reach."""
        with torch.enable_grad():
            parts = [x.requires_grad_() for x in self.parts(self.vector(y))]
            out = self.value(self.time(t), [x.view_as(x) for x in parts])
        wanted = [*parts, *(self.leaves.values() if leaves else ())]
        if not out.requires_grad:
            nothing = np.where(np.isnan(array(out)).all(), np.nan, np.zeros_like(y))
            return array(out), nothing, [None] * (len(wanted) - len(parts))
        grads = torch.autograd.grad(out, wanted, self.vector(a), allow_unused=True)
        own = [torch.zeros_like(x) if g is None else g for g, x in zip(grads, parts, strict=False)]
        return array(out), array(self.flat(own)), list(grads[len(parts) :])

    @property
    def breaks(self) -> tuple[float, ...]:
        """Times at which the solver was told that the field is not smooth."""
        return self.call.posed.breaks

    def pull(self, t: float, y: Array, a: Array) -> Array:
        """aᵀ ∂f/∂y, flat."""
        return self.vjp(t, y, a)[1]

    def gather(self, t: float, y: Array, a: Array) -> dict[str, Array]:
        """aᵀ ∂f/∂leaf by the name of the leaf, of those that the graph reaches."""
        pulled = self.vjp(t, y, a, leaves=True)[2]
        return {name: array(real(g.detach())) for name, g in zip(self.leaves, pulled, strict=True) if g is not None}

    def zeros(self) -> dict[str, Array]:
        """A zero for each leaf, by name."""
        return {name: np.zeros(tuple(real(x.detach()).shape)) for name, x in self.leaves.items()}

    def _choose(self) -> None:
        """The cheapest way to float64, and whether values need no graph."""
        inside = 0.6283 * self.times[0] + 0.3717 * self.times[-1]
        y0 = self.vector(self.start)

        def at(t: float) -> list[Tensor]:
            y = [x.clone() for x in self.parts(y0)]
            out = self._f(self.time(t), self.call.posed.packed(y))
            return [x.detach() for x in self.call.posed.parts(out)]

        def first_and_inside() -> list[Tensor]:
            at(float(self.times[0]))
            return at(float(inside))

        try:
            with torch.enable_grad():
                self.mode, mode = cheapest(first_and_inside, self.call.start[0].dtype)
        except Exception as error:
            raise NoField(f"in float64 the field raised {said(error)}") from error
        self._mode = None if self.mode == "nothing" else mode
        try:
            quiet = self._without_graph(inside)
        except Exception:  # a field that differentiates inside needs the graph
            quiet = False
        self.quiet = quiet

    def _without_graph(self, inside: float) -> bool:
        with_graph = self.f(inside, self.start)
        self.quiet = True
        return bool(np.array_equal(with_graph, self.f(inside, self.start), equal_nan=True))


@contextmanager
def in_double(call: Call) -> Generator[Field64]:
    """The field of a call in float64, in its old state, for a block. Raises NoField."""
    with posed_again(call, torch.float64) as (f, others, leaves), torch.enable_grad():
        field = Field64(call, f, leaves)
        field.ends = others.get("event_fn")
        yield field
