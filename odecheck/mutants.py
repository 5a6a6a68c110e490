"""Deliberately wrong subjects: the kinds of mistake that are made in practice, each made from a right subject.

A mutant wraps the engine (wrong derivatives, wrong bookkeeping of times), the module (a wrong field, or a right field
with a wrong derivative) or the solver (a method that is not what it says).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .claim import Mutant, NotApplicable
from .engines.base import Derivatives, Engine, LossFn
from .solvers import FIXED_STEP, FixedStep, Solver
from .subject import Subject

Part = Literal["y0", "theta", "ts"]
Solution = Callable[[Engine, nn.Module, Solver, Tensor, Tensor], Tensor]
Gradient = Callable[[Engine, nn.Module, Solver, Tensor, Tensor, LossFn], Derivatives]


def _right_solution(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    return engine.solution(module, solver, y0, ts)


def _right_gradient(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor,
                    loss: LossFn) -> Derivatives:  # fmt: skip
    return engine.gradient(module, solver, y0, ts, loss)


@dataclass(frozen=True)
class WrongEngine:
    """An engine with one of its two operations replaced."""

    right: Engine
    label: str
    wrong_solution: Solution = _right_solution
    wrong_gradient: Gradient = _right_gradient

    @property
    def name(self) -> str:
        return f"{self.right.name} [{self.label}]"

    @property
    def target(self) -> Literal["flow", "steps"]:
        return self.right.target

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        return self.wrong_solution(self.right, module, solver, y0, ts)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        return self.wrong_gradient(self.right, module, solver, y0, ts, loss)


def _engine(name: str, **wrong: Any) -> Mutant:
    return Mutant(name, lambda s: replace(s, engine=WrongEngine(s.engine, name, **wrong)))


def _field(name: str, wrap: Callable[[nn.Module], nn.Module]) -> Mutant:
    return Mutant(name, lambda s: replace(s, around=(*s.around, wrap)))


def field_mutant(name: str, wrap: Callable[[nn.Module], nn.Module]) -> Mutant:
    """A mutant whose field is wrap(module), a module that may keep something of its own."""
    return _field(name, wrap)


# --- wrong derivatives -----------------------------------------------------------------------------------------


def scaled(part: Part, by: float) -> Mutant:
    """One part of the gradient times `by`."""

    def gradient(
        engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
    ) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        return replace(got, **{part: by * getattr(got, part)})

    return _engine(f"d/d{part} times {by:g}", wrong_gradient=gradient)


def _forget_time(index: int) -> Gradient:
    def gradient(
        engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn
    ) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        dts = got.ts.clone()
        dts[index] = 0.0
        return replace(got, ts=dts)

    return gradient


FORGOTTEN_START_TIME = _engine("dL/dt0 forgotten", wrong_gradient=_forget_time(0))
FORGOTTEN_END_TIME = _engine("dL/dT forgotten", wrong_gradient=_forget_time(-1))


def _flip_start_time(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor,
                     loss: LossFn) -> Derivatives:  # fmt: skip
    got = engine.gradient(module, solver, y0, ts, loss)
    dts = got.ts.clone()
    dts[0] = -dts[0]
    return replace(got, ts=dts)


FLIPPED_START_TIME = _engine("dL/dt0 with the wrong sign", wrong_gradient=_flip_start_time)


def _forget_observation(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor,
                        loss: LossFn) -> Derivatives:  # fmt: skip
    seen = torch.ones(len(ts), 1, 1, dtype=y0.dtype)
    seen[1:-1][:1] = 0.0  # with no interior observation nothing is forgotten
    return engine.gradient(module, solver, y0, ts, lambda y: loss(y * seen + (y * (1 - seen)).detach()))


FORGOTTEN_OBSERVATION = _engine("interior observation forgotten", wrong_gradient=_forget_observation)


def _shift(y: Tensor) -> Tensor:
    """Each interior observation takes the state of its predecessor."""
    return torch.cat([y[:1], y[:-2], y[-1:]]) if len(y) > 2 else y


def _shift_observations(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor,
                        loss: LossFn) -> Derivatives:  # fmt: skip
    return engine.gradient(module, solver, y0, ts, lambda y: loss(_shift(y)))


def _shift_solution(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    return _shift(engine.solution(module, solver, y0, ts))


OFF_BY_ONE = _engine("observations off by one", wrong_solution=_shift_solution, wrong_gradient=_shift_observations)


class _Transpose(torch.autograd.Function):
    """F forwards; backwards the Jacobian in y instead of its transpose."""

    @staticmethod
    def forward(ctx: Any, module: nn.Module, t: Tensor, y: Tensor, *params: Tensor) -> Tensor:
        ctx.module, ctx.params = module, params
        ctx.save_for_backward(t, y)
        return module(t, y).detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (g,) = grads
        t, y = ctx.saved_tensors
        with torch.enable_grad():
            t, y = t.detach().requires_grad_(), y.detach().requires_grad_()
            value = ctx.module(t, y)
            d = y.shape[-1]
            rows = [
                torch.autograd.grad(value[..., i].sum(), y, retain_graph=True, allow_unused=True)[0] for i in range(d)
            ]
            jacobian = torch.stack([torch.zeros_like(y) if r is None else r for r in rows], dim=-2)
            free = [x for x in (t, *ctx.params) if x.requires_grad]  # an engine may hold the parameters fixed
            found = iter(torch.autograd.grad(value, free, g, allow_unused=True))
            others = [next(found) if x.requires_grad else None for x in (t, *ctx.params)]
        return None, others[0], (jacobian @ g[..., None])[..., 0], *others[1:]


class TransposedJacobian(nn.Module):
    """The same field, whose derivative in y is transposed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        result: Any = _Transpose.apply(self.inner, t, y, *self.inner.parameters())
        return result


TRANSPOSED_JACOBIAN = _field("transposed Jacobian", TransposedJacobian)


# --- wrong fields ----------------------------------------------------------------------------------------------


class Wrong(nn.Module):
    """A field changed by `change(inner, t, y)`."""

    def __init__(self, inner: nn.Module, change: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.change(self.inner, t, y)


def wrong_field(name: str, change: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> Mutant:
    """A mutant whose field is change(module, t, y)."""
    return _field(name, lambda inner: Wrong(inner, change))


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
        value = self.inner(t, y)
        return value * (1 + 1e-9 * torch.randn(value.shape, generator=self.generator, dtype=value.dtype))


RANDOM_FIELD = _field("noise in the field", Random)


# --- wrong bookkeeping of intervals ----------------------------------------------------------------------------


def _longer(ts: Tensor) -> Tensor:
    return torch.cat([ts[:-1], ts[-1:] + 1e-3 * (ts[-1:] - ts[:1])])


WRONG_INTERVAL = _engine(
    "interval too long by one in a thousand",
    wrong_solution=lambda e, m, s, y0, ts: e.solution(m, s, y0, _longer(ts)),
    wrong_gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, _longer(ts), loss),
)


def _local_time(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    start = ts[0]
    slowed = Wrong(module, lambda f, t, y: f(t - start, y) * (1 + 1e-3 * (t - start)))
    return engine.solution(slowed, solver, y0, ts)


LOCAL_TIME = _engine("time counted from the start of each solve", wrong_solution=_local_time)


def _backwards_slower(engine: Engine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
    if ts[0] <= ts[-1]:
        return engine.solution(module, solver, y0, ts)
    return engine.solution(Wrong(module, lambda f, t, y: 0.999 * f(t, y)), solver, y0, ts)


BACKWARDS_SLOWER = _engine("wrong speed backwards in time", wrong_solution=_backwards_slower)

SCALED_SOLUTION = _engine(
    "solution times 1.0002", wrong_solution=lambda e, m, s, y0, ts: 1.0002 * e.solution(m, s, y0, ts)
)

# --- solvers that are not what they say ------------------------------------------------------------------------

_LOWER = {"midpoint": "euler", "heun2": "euler", "heun3": "heun2"}


@dataclass(frozen=True)
class Mislabelled(FixedStep):
    """Steps with a method of lower order than the one whose name it bears."""

    def solve(self, odeint: Any, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        actual = FixedStep(_LOWER.get(self.method, "heun3"), self.step, self.interp, self.options)
        return actual.solve(odeint, module, y0, ts)


def _mislabel(subject: Subject) -> Subject:
    solver = subject.solver
    if not isinstance(solver, FixedStep) or FIXED_STEP[solver.method] == 1:
        raise NotApplicable("there is no fixed-step method of lower order than this one")
    return replace(subject, solver=Mislabelled(solver.method, solver.step, solver.interp, solver.options))


LOWER_ORDER = Mutant("a method of lower order under this name", _mislabel)
