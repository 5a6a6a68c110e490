"""What a derivative engine is: something that solves, and differentiates what it solved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.solvers import OdeInt, Solver

LossFn = Callable[[Tensor], Tensor]
EventFn = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Derivatives:
    """dL/dy0 (batch, state), dL/dtheta (params,), dL/dts (times,).

    no_times: why the engine has no dL/dts, where it has none; what stands in ts is not looked at then.
    """

    y0: Tensor
    theta: Tensor
    ts: Tensor
    no_times: str = ""


@runtime_checkable
class Engine(Protocol):
    """`target` says which truth the gradient aims at: of the exact flow, or of the solver's own steps."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> Literal["flow", "steps"]: ...

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """(times, batch, state)"""
        ...

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """Derivatives of loss(solution). Raises Unsupported where the engine has no such derivative."""
        ...


@runtime_checkable
class SecondOrderEngine(Engine, Protocol):
    """An engine that has second derivatives as well."""

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        """Hessian of loss(solution) in (y0, theta), flat in this order, or with curved=False its Gauss–Newton form."""
        ...


@runtime_checkable
class FactorEngine(Engine, Protocol):
    """An engine that has the low-rank Gauss–Newton factors and the derivatives in the last time."""

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        """q (times, batch, rank, state) and p (times, batch, rank, params) of Φ_xx = Σ y_i y_iᵀ, rows(y(T)) = y_i."""
        ...

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        """[Q_T, Q_TT, Q_Ttheta] (2 + params,), exact and in the Gauss–Newton form of the paper's code."""
        ...


@runtime_checkable
class GraphEngine(Engine, Protocol):
    """An engine whose solution is a function in torch's graph, as its library's users have it.

    What a user does with a solution beyond one gradient (differentiate twice, add up two solves, freeze a parameter,
    solve for a tuple) is asked of this.
    """

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: Tensor) -> Any:
        """The states (times, batch, state), attached to y0, ts and the parameters of the module.

        y0: a tensor, or a tuple of tensors; then the result is a tuple. Of any dtype that the library takes. Raises
        Unsupported for a kind of state that the library does not take.
        """
        ...


@runtime_checkable
class ProductEngine(Engine, Protocol):
    """An engine that has Hessian-vector products, in another way than through torch's graph."""

    def product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """The Hessian of loss(solution) in y0 and the parameters, times the direction (of_y0, *of_params)."""
        ...


@runtime_checkable
class EventEngine(Engine, Protocol):
    """An engine that finds the time at which an event function vanishes."""

    def event(self, module: nn.Module, solver: Solver, y0: Tensor, t0: Tensor, event: EventFn) -> tuple[Tensor, Tensor]:
        """The time, a scalar, and the state (batch, state) at it, both attached to y0, t0 and the parameters.

        event: (t, y) → a scalar, that changes its sign once after t0.
        """
        ...


@runtime_checkable
class JumpEngine(Engine, Protocol):
    """An engine whose solver can be told where the field is discontinuous in time."""

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        """The solver that knows of jumps (n,). Raises Unsupported for a solver that has no such option."""
        ...


def graph_of(engine: Engine) -> GraphEngine:
    """The engine itself. Raises Unsupported when its solutions are no part of torch's graph."""
    if not isinstance(engine, GraphEngine):
        raise Unsupported(f"{engine.name} has no solution in torch's graph")
    return engine


def events_of(engine: Engine) -> EventEngine:
    """The engine itself. Raises Unsupported when the engine has none, whatever its library can do."""
    if not isinstance(engine, EventEngine):
        raise Unsupported(f"{engine.name} is not asked for events here")
    return engine


def jumps_of(engine: Engine) -> JumpEngine:
    """The engine itself. Raises Unsupported when it cannot be told of discontinuities."""
    if not isinstance(engine, JumpEngine):
        raise Unsupported(f"{engine.name} cannot be told where the field jumps")
    return engine


def second_order_of(engine: Engine) -> SecondOrderEngine:
    """The engine itself. Raises Unsupported when it has no second derivatives."""
    if not isinstance(engine, SecondOrderEngine):
        raise Unsupported(f"{engine.name} has no second derivatives")
    return engine


def factors_of(engine: Engine) -> FactorEngine:
    """The engine itself. Raises Unsupported when it has no Gauss–Newton factors."""
    if not isinstance(engine, FactorEngine):
        raise Unsupported(f"{engine.name} has no Gauss-Newton factors")
    return engine


@dataclass(frozen=True)
class OdeIntEngine:
    """An engine that is one differentiable `odeint(module, y0, ts, ...)`; a file per library names its function."""

    name: str
    target: Literal["flow", "steps"]
    odeint: OdeInt
    unsupported_methods: tuple[str, ...] = ()

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        with torch.no_grad():
            return solver.solve(self.odeint, module, y0, ts)

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: Tensor) -> Any:
        if getattr(solver, "method", None) in self.unsupported_methods:
            raise Unsupported(f"{self.name} has no gradient through {solver.name}")
        return solver.solve(self.odeint, module, y0, ts)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        if getattr(solver, "method", None) in self.unsupported_methods:
            raise Unsupported(f"{self.name} has no gradient through {solver.name}")
        y0, ts = y0.detach().requires_grad_(), ts.detach().requires_grad_()
        params = [p for p in module.parameters() if p.requires_grad]
        value = loss(solver.solve(self.odeint, module, y0, ts))
        grads = torch.autograd.grad(value, [y0, ts, *params], allow_unused=True)
        missing = cast(tuple[Tensor | None, ...], grads)  # torch's types do not know allow_unused
        whole = [torch.zeros_like(x) if g is None else g for x, g in zip([y0, ts, *params], missing, strict=True)]
        theta = torch.cat([g.reshape(-1) for g in whole[2:]]) if params else y0.new_zeros(0)
        return Derivatives(whole[0], theta, whole[1])


def on_host(name: str, tensors: Iterable[Tensor]) -> None:
    """For an engine whose library computes outside torch, in the host's memory.

    Raises Unsupported when a tensor is on another device than the CPU, which numpy cannot look at.
    """
    for one in tensors:
        if one.device.type != "cpu":
            raise Unsupported(f"{name} gets numpy's arrays here, and a tensor is on {one.device}: pose it on the CPU")
