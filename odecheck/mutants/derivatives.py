"""The mistakes that are made in practice with solutions and first derivatives, each made from a right subject."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import Derivatives, Engine, LossFn
from odecheck.errors import NotApplicable
from odecheck.solvers import FixedStep, Solver, Toleranced
from odecheck.subject import Subject

from .base import Mislabelled, Operation, TransposedJacobian, Wrong, around_field, wrong_engine, wrong_field

Part = Literal["y0", "theta", "ts"]

# --- wrong derivatives -----------------------------------------------------------------------------------------


def scaled(part: Part, by: float) -> Mutant:
    """One part of the gradient times `by`."""

    def gradient(
        engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
    ) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        return replace(got, **{part: by * getattr(got, part)})

    return wrong_engine(f"d/d{part} times {by:.10g}", gradient=gradient)


def _forget_time(index: int) -> Operation:
    def gradient(
        engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
    ) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        dts = got.ts.clone()
        dts[index] = 0.0
        return replace(got, ts=dts)

    return gradient


FORGOTTEN_START_TIME = wrong_engine("dL/dt0 forgotten", gradient=_forget_time(0))
FORGOTTEN_END_TIME = wrong_engine("dL/dT forgotten", gradient=_forget_time(-1))


def _flip_start_time(
    engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
) -> Derivatives:
    got = engine.gradient(module, solver, y0, ts, loss)
    dts = got.ts.clone()
    dts[0] = -dts[0]
    return replace(got, ts=dts)


FLIPPED_START_TIME = wrong_engine("dL/dt0 with the wrong sign", gradient=_flip_start_time)


def _forget_observation(
    engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
) -> Derivatives:
    seen = torch.ones(len(ts), 1, 1, dtype=y0.dtype)
    seen[1:-1][:1] = 0.0  # with no interior observation nothing is forgotten
    return engine.gradient(module, solver, y0, ts, lambda y: loss(y * seen + (y * (1 - seen)).detach()))


FORGOTTEN_OBSERVATION = wrong_engine("interior observation forgotten", gradient=_forget_observation)


def _shift(y: Tensor) -> Tensor:
    """Each interior observation takes the state of its predecessor."""
    return torch.cat([y[:1], y[:-2], y[-1:]]) if len(y) > 2 else y


def _shift_observations(
    engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
) -> Derivatives:
    return engine.gradient(module, solver, y0, ts, lambda y: loss(_shift(y)))


def _shift_solution(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    return _shift(engine.solution(module, solver, y0, ts))


OFF_BY_ONE = wrong_engine("observations off by one", solution=_shift_solution, gradient=_shift_observations)


TRANSPOSED_JACOBIAN = around_field("transposed Jacobian", TransposedJacobian)


# --- wrong fields ----------------------------------------------------------------------------------------------


SCALED_FIELD = wrong_field("field times 1.0002", lambda f, t, y: 1.0002 * f(t, y))
FLIPPED_FIELD = wrong_field("field with the wrong sign", lambda f, t, y: -f(t, y))
DETACHED_STATE = wrong_field("state detached by one per cent", lambda f, t, y: f(t, 0.99 * y + (0.01 * y).detach()))
DETACHED_TIME = wrong_field("time detached", lambda f, t, y: f(t.detach(), y))
FROZEN_TIME = wrong_field("field at time zero always", lambda f, t, y: f(torch.zeros_like(t), y))


def _float32(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    return inner(t, y.to(torch.float32).to(y.dtype)).to(torch.float32).to(y.dtype)


FLOAT32_FIELD = wrong_field("float32 inside the field", _float32)


def _mixed_rows(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    return inner(t, y) - 1e-3 * (y - y.mean(dim=0, keepdim=True))


MIXED_ROWS = wrong_field("rows of the batch see each other", _mixed_rows)


class Random(nn.Module):
    """A field with a relative noise of 1e-9 that differs from call to call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.generator = torch.Generator()
        self.generator.seed()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value with noise."""
        value = self.inner(t, y)
        return value * (1 + 1e-9 * torch.randn(value.shape, generator=self.generator, dtype=value.dtype))


RANDOM_FIELD = around_field("noise in the field", Random)


# --- wrong bookkeeping of intervals ----------------------------------------------------------------------------


def _longer(ts: Tensor) -> Tensor:
    return torch.cat([ts[:-1], ts[-1:] + 1e-3 * (ts[-1:] - ts[:1])])


WRONG_INTERVAL = wrong_engine(
    "interval too long by one in a thousand",
    solution=lambda e, m, s, y0, ts: e.solution(m, s, y0, _longer(ts)),
    gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, _longer(ts), loss),
)


def _local_time(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    start = ts[0]
    slowed = Wrong(module, lambda f, t, y: f(t - start, y) * (1 + 1e-3 * (t - start)))
    return engine.solution(slowed, solver, y0, ts)


LOCAL_TIME = wrong_engine("time counted from the start of each solve", solution=_local_time)


def _backwards_slower(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    if ts[0] <= ts[-1]:
        return engine.solution(module, solver, y0, ts)
    return engine.solution(Wrong(module, lambda f, t, y: 0.999 * f(t, y)), solver, y0, ts)


BACKWARDS_SLOWER = wrong_engine("wrong speed backwards in time", solution=_backwards_slower)

SCALED_SOLUTION = wrong_engine(
    "solution times 1.0002", solution=lambda e, m, s, y0, ts: 1.0002 * e.solution(m, s, y0, ts)
)

# --- answers that are wrong at some tolerances and right at others ---------------------------------------------


def _every_second(solver: Solver) -> bool:
    """Whether this is the first, third or fifth rung, counted from a tolerance of 1e-7 or a step of 1/20."""
    if isinstance(solver, Toleranced):
        return round(math.log10(solver.rtol)) % 2 == 1
    return round(math.log2(getattr(solver, "step", 1.0) / 0.05)) % 2 == 0


def _loose(solver: Solver) -> bool:
    """Whether this is a tolerance of 5e-8 or more: of the first rung alone, where that is 1e-7."""
    return isinstance(solver, Toleranced) and solver.rtol > 5e-8


def _off_by_a_quarter(name: str, where: Callable[[Solver], bool]) -> Mutant:
    def solution(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        return (1.27 if where(solver) else 1.0) * engine.solution(module, solver, y0, ts)

    def gradient(
        engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
    ) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        by = 1.27 if where(solver) else 1.0
        return replace(got, y0=by * got.y0, theta=by * got.theta, ts=by * got.ts)

    return wrong_engine(name, solution=solution, gradient=gradient)


ERRATIC = (
    _off_by_a_quarter("27 % off at every second rung", _every_second),
    _off_by_a_quarter("27 % off at the tolerance asked for", _loose),
)

# --- solvers that are not what they say ------------------------------------------------------------------------


def _mislabel(subject: Subject) -> Subject:
    solver = subject.solver
    if not isinstance(solver, FixedStep) or solver.order == 1:  # it is called by the name of another method
        raise NotApplicable("there is no fixed-step method of lower order than this one")
    return replace(subject, solver=Mislabelled(solver.method, solver.step, solver.interp, solver.options))


LOWER_ORDER = Mutant("a method of lower order under this name", _mislabel)
