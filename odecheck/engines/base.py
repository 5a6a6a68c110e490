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
    """The first derivatives of a loss L of a solution.

    Attributes:
        y0: dL/dy0, of shape (batch, state).
        theta: dL/dtheta, of shape (params,): the module's parameters that need gradients, flat and in order.
        ts: dL/dts, of shape (times,).
        no_times: why the engine has no dL/dts, where it has none; what stands in `ts` is not looked at then.
    """

    y0: Tensor
    theta: Tensor
    ts: Tensor
    no_times: str = ""


@runtime_checkable
class Engine(Protocol):
    """What solves, and differentiates what it solved."""

    @property
    def name(self) -> str:
        """The name in every record and table; no two engines share one."""
        ...

    @property
    def target(self) -> Literal["flow", "steps"]:
        """Which truth the gradient aims at: the derivative of the exact flow, or that of the solver's own steps."""
        ...

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """Solve y' = module(t, y), y(ts[0]) = y0.

        Args:
            module: the vector field, called with t of shape () and y of shape (batch, state).
            solver: the method and its tolerance or steps.
            y0: the start, of shape (batch, state).
            ts: the output times, of shape (times,), the start first; increasing or decreasing.

        Returns:
            The states at `ts`, of shape (times, batch, state), outside torch's graph.

        Raises:
            Unsupported: a solver, an option, a number type or a device that the library does not have.
        """
        ...

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """Differentiate loss(solution) in the start, the parameters and the times.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            loss: of the states (times, batch, state), a scalar.

        Returns:
            The derivatives, in the number type of y0.

        Raises:
            Unsupported: the engine has no such derivative, or no such solve.
        """
        ...


@runtime_checkable
class SecondOrderEngine(Engine, Protocol):
    """An engine that has second derivatives as well."""

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        """The second derivatives of loss(solution) in (y0, theta), flat in this order.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            loss: as for `gradient`.
            curved: the Hessian itself; where False its Gauss–Newton form, in which the solution counts as linear.

        Returns:
            The matrix, of shape (batch · state + params, batch · state + params).

        Raises:
            Unsupported: the engine has no such matrix.
        """
        ...


@runtime_checkable
class FactorEngine(Engine, Protocol):
    """An engine that has the low-rank Gauss–Newton factors and the derivatives in the last time."""

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        """The factors of the Gauss–Newton matrices at every time: Q = Σ q qᵀ in the state, P = Σ p pᵀ in theta.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            rows: y(T) → the rows y_i of Φ_xx = Σ y_i y_iᵀ, the terminal loss's second derivative.

        Returns:
            q, of shape (times, batch, rank, state), and p, of shape (times, batch, rank, params).
        """
        ...

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        """The derivatives of the loss in the last time T, and theirs in T and theta.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            loss: as for `gradient`.

        Returns:
            [Q_T, Q_TT, Q_Ttheta] (2 + params,), exact and in the Gauss–Newton form of the paper's code.
        """
        ...


@runtime_checkable
class GraphEngine(Engine, Protocol):
    """An engine whose solution is a function in torch's graph, as its library's users have it.

    What a user does with a solution beyond one gradient (differentiate twice, add up two solves, freeze a parameter,
    solve for a tuple) is asked of this.
    """

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: Tensor) -> Any:
        """Solve as `solution` does, inside torch's graph.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: a tensor (batch, state), or a tuple of tensors; of any number type that the library takes.
            ts: as for `solution`.

        Returns:
            The states (times, batch, state), attached to y0, ts and the parameters of the module; of a tuple a tuple.

        Raises:
            Unsupported: a kind of state that the library does not take, or a method without a gradient.
        """
        ...


@runtime_checkable
class EventEngine(Engine, Protocol):
    """An engine that finds the time at which an event function vanishes."""

    def event(self, module: nn.Module, solver: Solver, y0: Tensor, t0: Tensor, event: EventFn) -> tuple[Tensor, Tensor]:
        """Solve until an event function vanishes.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: the start, of shape (batch, state).
            t0: its time, of shape ().
            event: (t, y) → a scalar, that changes its sign once after t0.

        Returns:
            The time () and the state (batch, state) at it, both attached to y0, t0 and the parameters.

        Raises:
            Unsupported: a release of the library that finds no events.
        """
        ...


@runtime_checkable
class JumpEngine(Engine, Protocol):
    """An engine whose solver can be told where the field is discontinuous in time."""

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        """The same solver, told where the field jumps.

        Args:
            solver: any of the library's.
            jumps: times at which the field is discontinuous, of shape (n,).

        Returns:
            A solver whose steps end at the jumps.

        Raises:
            Unsupported: a solver that has no such option.
        """
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
    """An engine that is one differentiable `odeint(module, y0, ts, ...)`; a file per library names its function.

    Attributes:
        name: as of `Engine`.
        target: as of `Engine`.
        odeint: the library's function; it takes method, options, and rtol and atol where the solver has them.
        unsupported_methods: methods that solve, and through which the library has no gradient.
    """

    name: str
    target: Literal["flow", "steps"]
    odeint: OdeInt
    unsupported_methods: tuple[str, ...] = ()

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        with torch.no_grad():
            return solver.solve(self.odeint, module, y0, ts)

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: Tensor) -> Any:
        """As `GraphEngine.attached`."""
        if getattr(solver, "method", None) in self.unsupported_methods:
            raise Unsupported(f"{self.name} has no gradient through {solver.name}")
        return solver.solve(self.odeint, module, y0, ts)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`: torch differentiates through `odeint`, and what it does not reach is zero."""
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
