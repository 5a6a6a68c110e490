"""Wrong solvers and engines as libraries have them: mistakes about grids, directions of time and first derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import Derivatives, Engine, LossFn
from odecheck.errors import NotApplicable
from odecheck.solvers import FIXED_STEP, FixedStep, GivenSteps, Solver, Stepping
from odecheck.subject import Subject

from .base import around_field, wrong_engine

# --- grids and intervals ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WholeSteps(FixedStep):
    """Ends after a whole number of steps, short of the last time or beyond it."""

    beyond: bool = False

    def solve(self, odeint: Any, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        states = super().solve(odeint, module, y0, ts)
        step = self.step * torch.sign(ts[-1] - ts[0])
        count = ((ts[-1] - ts[0]) / step).detach()
        count = (count - 1e-9).ceil() if self.beyond else (count + 1e-9).floor()
        end = super().solve(odeint, module, y0, torch.stack([ts[0], ts[0] + count * step])) if count else states[:1]
        return torch.cat([states[:-1], end[-1:]])


def _whole_steps(beyond: bool) -> Callable[[Subject], Subject]:
    def apply(subject: Subject) -> Subject:
        solver = subject.solver
        if type(solver) is not FixedStep:
            raise NotApplicable("the solver has no fixed step")
        return replace(subject, solver=WholeSteps(solver.method, solver.step, solver.interp, solver.options, beyond))

    return apply


REMAINDER_DROPPED = Mutant("what is left of the interval after whole steps is dropped", _whole_steps(False))
REMAINDER_STRETCHED = Mutant("the last step is not cut", _whole_steps(True))


def _adams_of_even_steps(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    """Two-step Adams–Bashforth, begun with Heun, with the coefficients of equal steps whatever the steps are."""
    if solver.order < 2:
        raise NotApplicable("of order one, Adams methods know no other step")
    with torch.no_grad():
        states, before = [y0], None
        for t, end in pairwise(ts):
            y, h = states[-1], end - t
            rate = module(t, y)
            slope = (rate + module(end, y + h * rate)) / 2 if before is None else 1.5 * rate - 0.5 * before
            states.append(y + h * slope)
            before = rate
        return torch.stack(states)


def _lower_given(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    if not isinstance(solver, GivenSteps) or solver.order == 1:
        raise NotApplicable("there is no method of lower order on these steps")
    lower = next(name for name, order in FIXED_STEP.items() if order == solver.order - 1)
    return engine.solution(module, GivenSteps(lower, solver.halvings), y0, ts)


EVEN_GRID = wrong_engine("multistep coefficients of even steps", solution=_adams_of_even_steps)
LOWER_ORDER_GIVEN = wrong_engine("a method of lower order under this name, on given steps", solution=_lower_given)


def _growing(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    parasite = 1e-9 * torch.exp(4 * (ts - ts[0]).abs())[:, None, None]
    return engine.solution(module, solver, y0, ts) + parasite


GROWING_ERROR = wrong_engine("a parasitic solution that grows", solution=_growing)


def _lose_last(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    states = engine.solution(module, solver, y0, ts)
    return states if len(ts) % 2 else states[:-1]


LAST_OUTPUT_LOST = wrong_engine("one output too few, for even numbers of them", solution=_lose_last)


def _on_chords(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    states = engine.solution(module, solver, y0, torch.cat([ts[:-1:2], ts[-1:]]))[: len(ts[::2])]
    between = (states[:-1] + states[1:]) / 2
    whole = torch.zeros(2 * len(states) - 1, *y0.shape, dtype=y0.dtype)
    whole[::2], whole[1::2] = states, between
    return whole if len(whole) == len(ts) else engine.solution(module, solver, y0, ts)


OUTPUTS_ON_CHORDS = wrong_engine("every other output lies on the line between its neighbours", solution=_on_chords)


def _second(y: Tensor) -> Tensor:
    """The state at the second time in the place of the last."""
    return torch.cat([y[:-1], y[1:2]])


SECOND_FOR_LAST = wrong_engine(
    "the second state for the last, where there are more than two",
    solution=lambda e, m, s, y0, ts: _second(e.solution(m, s, y0, ts)),
    gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, ts, lambda y: loss(_second(y))),
)


def _forwards(ts: Tensor) -> Tensor:
    return ts[0] + (ts - ts[0]).abs()


BACKWARDS_FORWARDS = wrong_engine(
    "the direction of time ignored", solution=lambda e, m, s, y0, ts: e.solution(m, s, y0, _forwards(ts))
)

# --- first derivatives -----------------------------------------------------------------------------------------


def _changed(change: Callable[[Derivatives, Tensor], Derivatives]) -> Callable[..., Derivatives]:
    def gradient(engine: Engine, module: Any, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        return change(engine.gradient(module, solver, y0, ts, loss), ts)

    return gradient


def _no_interior(got: Derivatives, ts: Tensor) -> Derivatives:
    kept = torch.ones_like(ts)
    kept[1:-1] = 0.0
    return replace(got, ts=got.ts * kept)


def _doubled_backwards(got: Derivatives, ts: Tensor) -> Derivatives:
    return replace(got, y0=2 * got.y0, theta=2 * got.theta) if ts[0] > ts[-1] else got


def _flipped_backwards(got: Derivatives, ts: Tensor) -> Derivatives:
    return replace(got, ts=-got.ts) if ts[0] > ts[-1] else got


def _off(got: Derivatives, ts: Tensor) -> Derivatives:
    return replace(got, y0=1.002 * got.y0, theta=1.002 * got.theta)


GRADIENT_OFF = wrong_engine("derivatives times 1.002", gradient=_changed(_off))
INTERIOR_TIMES_FORGOTTEN = wrong_engine("dL/dt of interior times is zero", gradient=_changed(_no_interior))
DOUBLED_BACKWARDS = wrong_engine("gradient doubled where time decreases", gradient=_changed(_doubled_backwards))
FLIPPED_BACKWARDS = wrong_engine("dL/dts of the wrong sign where time decreases", gradient=_changed(_flipped_backwards))


def _only_last(engine: Engine, module: Any, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
    return engine.gradient(module, solver, y0, ts, lambda y: loss(torch.cat([y[:-1].detach(), y[-1:]])))


ONLY_LAST = wrong_engine("only the last output is differentiated", gradient=_only_last)


def _blind(engine: Engine, module: Any, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
    return engine.gradient(module, FixedStep("midpoint", float((ts[-1] - ts[0]).abs()) / 3), y0, ts, loss)


BLIND_STEPS = wrong_engine("three steps, whatever the sensitivity needs", gradient=_blind)


class _Swapped(nn.Module):
    """The field of the other side of a jump, for a stretch of a fiftieth of a unit of time."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t - 0.02, y)


LATE_JUMP = around_field("the jump is seen too late", _Swapped)


@dataclass(frozen=True)
class _Stopping:
    """A solver that forgets, when it knows of jumps, what comes after the last of them."""

    inner: Any
    jumps: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def order(self) -> int:
        return self.inner.order

    @property
    def stepping(self) -> Stepping:
        return self.inner.stepping

    def solve(self, odeint: Any, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        end = max(self.jumps)
        return self.inner.solve(odeint, lambda t, y: module(t, y) * (t < end), y0, ts)

    def refined(self) -> _Stopping:
        return replace(self, inner=self.inner.refined())


STOPS_AT_JUMP = wrong_engine(
    "what comes after a jump is lost when it is announced",
    told=lambda e, solver, jumps: _Stopping(e.told(solver, jumps), tuple(jumps.tolist())),
)
