"""A subject: what is being verified: a vector field, the solver that steps it, the engine that differentiates it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from odecheck_reference import Problem
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.instruments.metering import Meter, charge, metered
from odecheck.instruments.posed import Posed
from odecheck.instruments.state_size import size_of_state
from odecheck.instruments.step_counts import evaluations
from odecheck.instruments.unit_of_work import kept_in_unit

from .engines.base import Engine, second_order_of
from .errors import Unsupported
from .fields.from_reference import torch_twin
from .fields.losses import torch_loss, torch_running
from .solvers import Solver

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

T = TypeVar("T")
FieldFactory = Callable[[Tensor], nn.Module]

SHIPPED: FieldFactory | None = None
"""In place of a field: the torch module that odecheck ships for whatever field the problem has."""


@dataclass(frozen=True)
class Subject:
    """A field, a solver and an engine.

    Args:
        field: theta (params,), float64 → a module called as module(t, y) with y (batch, state), whose `parameters()`,
            flattened in order, are theta. SHIPPED: the module of the problem's own field.
        solver: What steps the field.
        engine: What differentiates the solve.
        expected_failures: Claim id → why it is known to fail. Strict: when such a claim holds after all, the run fails.
        label: The name that records show, in place of one made of the three parts.
        around: What mutants wrap around the module of the field, innermost first.
        kit: Classes in place of odecheck's own, by what they are: see `odecheck.claims.shared.kit`.
    """

    field: FieldFactory | None
    solver: Solver
    engine: Engine
    expected_failures: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str], hash=False, compare=False)
    label: str = ""
    around: tuple[Callable[[nn.Module], nn.Module], ...] = ()
    kit: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any], hash=False)

    @property
    def name(self) -> str:
        """The name that records show: `label`, or one made of the three parts."""
        if self.label:
            return self.label
        shown = "" if self.field is SHIPPED else f"{getattr(self.field, '__name__', type(self.field).__name__)}, "
        return f"{shown}{self.solver.name}, {self.engine.name}"

    def refined(self) -> Subject:
        """The same subject, one rung finer.

        Returns:
            A subject whose solver takes half the step, or a tenth of the tolerance; see `Solver.refined`.
        """
        return replace(self, solver=self.solver.refined())

    def module(self, problem: Problem) -> nn.Module:
        """The torch module of the field.

        Args:
            problem: Whose parameters it gets, and whose field it is a twin of where the subject's is SHIPPED.

        Returns:
            A new module in float64, with what mutants have wrapped around it.
        """
        factory = torch_twin(problem.field) if self.field is SHIPPED else self.field
        assert factory is not None
        module = factory(tensor(problem.theta))
        for wrap in self.around:
            module = wrap(module)
        return module

    def solution(self, problem: Problem) -> Float64[Array, "times batch state"]:
        """The observed states.

        Args:
            problem: Where to start, and at which times to observe.

        Returns:
            States at `problem.ts`, (times, batch, state), float64. Solved once in a unit of work.
        """
        return _solution(self, problem, 0).copy()

    def solution_again(self, problem: Problem, run: int) -> Float64[Array, "times batch state"]:
        """The observed states, truly solved anew.

        Args:
            problem: As in `solution`.
            run: A number; for each one there is a solve of its own.

        Returns:
            States at `problem.ts`, (times, batch, state), float64.
        """
        return _solution(self, problem, run).copy()

    def gradient(self, problem: Problem) -> Derivatives64:
        """Derivatives of the problem's loss, integral term included.

        Args:
            problem: With its loss, and its running cost where it has one.

        Returns:
            dL/dy0, dL/dtheta and dL/dts. Asked once in a unit of work.
        """
        return _gradient(self, problem)

    def hessian(self, problem: Problem, *, curved: bool = True) -> Float64[Array, "variables variables"]:
        """Second derivatives of the problem's loss in (y0, theta).

        Args:
            problem: With its loss, and its running cost where it has one.
            curved: The whole Hessian; otherwise its Gauss–Newton form, without the second derivatives of the flow.

        Returns:
            (D, D) with D = batch · state + params, float64, y0 first, row by row.

        Raises:
            Unsupported: The engine has no second derivatives.
        """
        kept = _kept_hessian(self, Posed(problem, losses=True), curved)
        charge(kept.cost)
        return kept.value.copy()

    def observe(self, problem: Problem, action: Callable[[nn.Module, Tensor, Tensor, Callable[..., Tensor]], T]) -> T:
        """Do something with everything that a problem poses, its cost metered.

        Args:
            problem: With its loss, and its running cost where it has one, as one more component of the state.
            action: Called as action(module, y0, ts, loss) with y0 (batch, state) and ts (times,), float64.

        Returns:
            What the action returns.
        """
        module, y0, loss = _posed(self, problem)
        return _run(self, module, lambda m: action(m, y0, tensor(problem.ts), loss), problem)

    def tangent(
        self, problem: Problem, direction: Float64[Array, "batch state"]
    ) -> Float64[Array, "times batch state"]:
        """How the observed states move with the start, from the tangent equation on this subject's solver.

        Args:
            problem: Where to start, and at which times to observe.
            direction: In which the start moves, (batch, state).

        Returns:
            The derivative of the states at `problem.ts` in that direction, (times, batch, state), float64.
        """
        doubled, ts = Tangent(self.module(problem)), tensor(problem.ts)
        start = torch.cat([tensor(problem.y0), tensor(direction)], dim=1)
        moved = _run(self, doubled, lambda m: self.engine.solution(m, self.solver, start, ts), problem)
        return moved.numpy()[..., problem.field.state :]


@dataclass(frozen=True, eq=False)
class Derivatives64:
    """First derivatives of a loss L, as numpy float64.

    Attributes:
        y0: dL/dy0, (batch, state).
        theta: dL/dtheta, (params,).
        times: dL/dts, (times,), to be read as `ts`.
        no_times: Why the engine has no derivative in the times, or empty.
    """

    y0: Float64[Array, "batch state"]
    theta: Float64[Array, " params"]
    times: Float64[Array, " times"]
    no_times: str = ""

    @property
    def ts(self) -> Float64[Array, " times"]:
        """dL/dts, (times,).

        Raises:
            Unsupported: The engine has none.
        """
        if self.no_times:
            raise Unsupported(self.no_times)
        return self.times


def _run(subject: Subject, module: nn.Module, action: Callable[[nn.Module], Any], problem: Problem) -> Any:
    begun = time.perf_counter()
    with evaluations(module) as counted:
        try:
            return action(module)
        finally:
            charge(Meter(counted.nfe, 1, time.perf_counter() - begun, size_of_state(problem)))


@dataclass(frozen=True, eq=False)
class _Kept:
    value: Any
    cost: Meter


@kept_in_unit
def _kept_solution(subject: Subject, posed: Posed, run: int) -> _Kept:
    problem, module = posed.problem, subject.module(posed.problem)
    with metered() as cost:
        y0, ts = tensor(problem.y0), tensor(problem.ts)
        solved = _run(subject, module, lambda m: subject.engine.solution(m, subject.solver, y0, ts), problem)
    return _Kept(to_numpy(solved), cost)


def _solution(subject: Subject, problem: Problem, run: int) -> Array:
    kept = _kept_solution(subject, Posed(problem, losses=False), run)
    charge(kept.cost)
    return kept.value


def _posed(subject: Subject, problem: Problem) -> tuple[nn.Module, Tensor, Callable[[Tensor], Tensor]]:
    """Module, start and loss of a problem; an integral term becomes one more component of the state."""
    module, loss, y0 = subject.module(problem), torch_loss(problem.loss), tensor(problem.y0)
    if problem.running is None:
        return module, y0, loss

    def total(y: Tensor) -> Tensor:
        return loss(y[..., :-1]) + y[-1, :, -1].sum()

    start = torch.cat([y0, y0.new_zeros(len(y0), 1)], dim=1)
    return WithCost(module, torch_running(problem.running)), start, total


@kept_in_unit
def _kept_gradient(subject: Subject, posed: Posed) -> _Kept:
    problem, ts = posed.problem, tensor(posed.problem.ts)
    with metered() as cost:
        module, y0, loss = _posed(subject, problem)
        got = _run(subject, module, lambda m: subject.engine.gradient(m, subject.solver, y0, ts, loss), problem)
    d = problem.field.state
    return _Kept(Derivatives64(to_numpy(got.y0)[:, :d], to_numpy(got.theta), to_numpy(got.ts), got.no_times), cost)


@kept_in_unit
def _kept_hessian(subject: Subject, posed: Posed, curved: bool) -> _Kept:
    problem, engine = posed.problem, second_order_of(subject.engine)
    with metered() as cost:
        module, y0, loss = _posed(subject, problem)
        ts = tensor(problem.ts)
        whole = _run(subject, module, lambda m: engine.hessian(m, subject.solver, y0, ts, loss, curved=curved), problem)
    # the start of a cost component is no variable of the problem
    starts = np.arange(y0.numel()).reshape(y0.shape)[:, : problem.field.state].ravel()
    kept = np.r_[starts, np.arange(y0.numel(), len(whole))]
    return _Kept(to_numpy(whole)[np.ix_(kept, kept)], cost)


def _gradient(subject: Subject, problem: Problem) -> Derivatives64:
    kept = _kept_gradient(subject, Posed(problem, losses=True))
    charge(kept.cost)
    return kept.value


def tensor(array: Float64[Array, "*shape"]) -> Float64[Tensor, "*shape"]:
    """A float64 tensor of its own memory, of any shape."""
    return torch.tensor(array, dtype=torch.float64)


def to_numpy(x: Float[Tensor, "*shape"]) -> Float64[Array, "*shape"]:
    """A float64 array of its own memory, of a tensor of any shape, dtype and device."""
    return np.array(x.detach().cpu().to(torch.float64).numpy())


class Tangent(nn.Module):
    """The tangent of a field, (y, δ)' = (F, F_y δ).

    Args:
        inner: The field, called as module(t, y); any module that automatic differentiation can differentiate.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self, t: Float[Tensor, ""], state: Float[Tensor, "batch y_and_delta"]
    ) -> Float[Tensor, "batch y_and_delta"]:
        """The slopes of y and δ, side by side in each row, without a graph."""
        y, delta = state.chunk(2, dim=-1)
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            value = self.inner(t, y)
            # F_y δ as the derivative of u ↦ F_yᵀ u in the direction of δ; torch's types know no None of allow_unused
            u = torch.zeros_like(value, requires_grad=True)
            pulled = cast(Tensor | None, torch.autograd.grad(value, y, u, create_graph=True, allow_unused=True)[0])
            if pulled is None or not pulled.requires_grad:
                return torch.cat([value.detach(), torch.zeros_like(delta)], dim=-1)
            (pushed,) = torch.autograd.grad(pulled, u, delta)
        return torch.cat([value.detach(), pushed.detach()], dim=-1)


class WithCost(nn.Module):
    """A field with its running cost as one more component of each row, (y, q)' = (F, ℓ).

    Args:
        inner: The field, called as module(t, y).
        running: ℓ(t, y, theta) ↦ (batch,), with theta (params,) being the parameters of the field.
    """

    def __init__(self, inner: nn.Module, running: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.running = inner, running

    def forward(self, t: Float[Tensor, ""], state: Float[Tensor, "batch y_and_q"]) -> Float[Tensor, "batch y_and_q"]:
        """The slopes of y and q, side by side in each row."""
        y = state[..., :-1]
        theta = torch.cat([y.new_zeros(0), *(p.reshape(-1) for p in self.inner.parameters())])
        return torch.cat([self.inner(t, y), self.running(t, y, theta)[..., None]], dim=-1)
