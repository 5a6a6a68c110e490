"""odecheck's own engines: the solve that is closed under differentiation, and the exact derivatives of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from odecheck import __version__, discrete
from odecheck import ode as _ode
from odecheck import second_order as _second_order
from odecheck.discrete.tableau import METHODS
from odecheck.errors import Unsupported
from odecheck.solvers import Adaptive, FixedStep, OdeInt, Solver, Stepped

from .base import Derivatives, LossFn, OdeIntEngine
from .known_failures import AT_REST, UNSEEN
from .library import Asked, Declared, Known, Library, named
from .script_call import Call, like_torchdiffeq

second_order: Any = _second_order  # its functions take any callable
_CLOSED = OdeIntEngine("odecheck.odeint", "flow", cast(OdeInt, cast(Any, _ode).odeint))


@dataclass(frozen=True)
class ClosedEngine:
    """odecheck.odeint and the backward equations of second order: derivatives of the flow."""

    name: str = "odecheck.odeint"
    target: Literal["flow", "steps"] = "flow"
    lands: ClassVar[bool] = True  # steps end on every output

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        return _CLOSED.solution(module, solver, y0, ts)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`."""
        return _CLOSED.gradient(module, solver, y0, ts, loss)

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: Tensor) -> Any:
        """As `GraphEngine.attached`."""
        return _CLOSED.attached(module, solver, y0, ts)

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        """As `JumpEngine.told`."""
        if not isinstance(solver, Adaptive):
            raise Unsupported(f"{solver.name} has no jump_t")
        return replace(solver, options={**solver.options, "jump_t": jumps})

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        """As `SecondOrderEngine.hessian`."""
        form = "exact" if curved else "gauss-newton"

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            return second_order.hessian(field, start, times, loss, form=form, **how)

        return solver.solve(solve, module, y0, ts)

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
        """As `ProductEngine.product`."""
        found: list[Tensor] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            part, parts = second_order.hvp(field, start, times, loss, (of_y0, of_params), **how).product
            found.extend([part, *parts])
            return start

        solver.solve(solve, module, y0.detach(), ts.detach())
        return found

    def gauss_newton_product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """As `GaussNewtonEngine.gauss_newton_product`."""
        found: list[Tensor] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            part, parts = second_order.gauss_newton_product(field, start, times, loss, (of_y0, of_params), **how)
            found.extend([part, *parts])
            return start

        solver.solve(solve, module, y0.detach(), ts.detach())
        return found

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        """As `FactorEngine.factors`."""
        found: list[_second_order.Factors] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            found.append(second_order.gauss_newton_factors(field, start, times, rows, **how))
            return start

        solver.solve(solve, module, y0, ts)
        return found[0].q, found[0].p

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        """As `FactorEngine.horizon`."""
        found: list[_second_order.Horizon] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            found.append(second_order.horizon_derivatives(field, start, times, loss, **how))
            return start

        solver.solve(solve, module, y0, ts)
        h = found[0]

        def flat(tt: Tensor, ttheta: tuple[Tensor, ...]) -> Tensor:
            return torch.cat([h.T.reshape(1), tt.reshape(1), *(x.reshape(-1) for x in ttheta)])

        return flat(h.TT, h.Ttheta), flat(h.TT_gauss_newton, h.Ttheta_gauss_newton)


@dataclass(frozen=True)
class DiscreteEngine:
    """odecheck.discrete: the accepted steps, and the exact derivatives of those very steps."""

    name: str = "odecheck.discrete"
    target: Literal["flow", "steps"] = "steps"
    lands: ClassVar[bool] = True

    def _record(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> discrete.Trajectory:
        found: list[discrete.Trajectory] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            found.append(discrete.record(field, start, times, **how))
            return start

        method = getattr(solver, "method", "")
        if method and method not in METHODS:
            raise Unsupported(f"{solver.name} is no explicit Runge-Kutta method: its steps are not recorded")
        if isinstance(solver, Stepped):
            places = ((ts - ts[0]).abs() / solver.step).detach()
            if bool(((places - places.round()).abs()[:-1] > 1e-9).any()):
                raise Unsupported(f"{self.name}: an output between the ends of {solver.name}'s steps is no step")
        solver.solve(solve, module, y0.detach(), ts.detach())
        return found[0]

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        return self._record(module, solver, y0, ts).solution

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`."""
        got = discrete.gradient(self._record(module, solver, y0, ts), loss, times=True)
        theta = torch.cat([y0.new_zeros(0), *(g.reshape(-1) for g in got.theta.values())])
        assert got.times is not None
        return Derivatives(got.y0, theta, got.times)

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        """As `SecondOrderEngine.hessian`."""
        if not curved:
            raise Unsupported(f"{self.name}: the Gauss-Newton matrix is formed from factors")
        return discrete.hessian(self._record(module, solver, y0, ts), loss)

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
        """As `ProductEngine.product`, of the steps."""
        steps = self._record(module, solver, y0, ts)
        theta = {name: one[None] for name, one in zip(steps.parameters, of_params, strict=True)}
        got = discrete.hvp(steps, loss, y0=of_y0[None], theta=theta)
        return [got.y0[0], *(one[0] for one in got.theta.values())]

    def gauss_newton_product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """As `GaussNewtonEngine.gauss_newton_product`, of the steps."""
        steps = self._record(module, solver, y0, ts)
        theta = {name: one[None] for name, one in zip(steps.parameters, of_params, strict=True)}
        tangent = discrete.jvp(steps, y0=of_y0[None], theta=theta)[0]
        bend: Tensor = torch.func.jvp(torch.func.grad(loss), (steps.solution,), (tangent,))[1]  # pyright: ignore[reportAssignmentType]
        start, parts = discrete.vjp(steps, bend[None])
        return [start[0], *(one[0] for one in parts.values())]


CLOSED, DISCRETE = ClosedEngine(), DiscreteEngine()


def Closed() -> ClosedEngine:
    """The engine of odecheck.odeint: derivatives of the flow, of any order, at constant memory.

    Returns:
        The engine, the same each time. Its target is "flow".
    """
    return CLOSED


def Discrete() -> DiscreteEngine:
    """The engine of odecheck.discrete: exact derivatives of the steps, all directions batched on one recorded solve.

    Returns:
        The engine, the same each time. Its target is "steps". It raises Unsupported for a method that is no explicit
        Runge–Kutta method.
    """
    return DISCRETE


def asks(release: str, folder: str) -> list[Asked]:
    """The solve that is closed under differentiation, and its twin that differentiates the steps."""
    adaptive, fixed = Adaptive("dopri5", rtol=1e-7), FixedStep("rk4", step=0.125)
    return [
        Asked(adaptive, Closed(), "odeint", "dopri5"),
        Asked(Adaptive("dopri8", rtol=1e-9), Closed(), "odeint", "dopri8", ("solution", "derivatives"), brief=True),
        Asked(fixed, Closed(), "odeint", "rk4", ("solution", "derivatives"), brief=True),
        Asked(adaptive, Discrete(), "discrete", "dopri5"),
        Asked(fixed, Discrete(), "discrete", "rk4", ("solution", "derivatives"), brief=True),
    ]


KNOWN: tuple[Known, ...] = named(
    Known(UNSEEN, claims=("DER-7", "DER-17"), engines=("discrete",), methods=("dopri5",), problems=AT_REST),
)


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """Our own functions: `odeint`, or a recorded solve and its gradient."""
    if name == DISCRETE.name:
        body = "return discrete.record(field, y0, ts, **how).solution"
        return like_torchdiffeq("from odecheck import discrete", body, how, options, differentiate="discrete.gradient")
    return like_torchdiffeq("from odecheck import odeint", "return odeint(field, y0, ts, **how)", how, options)


LIBRARY = Library(
    "odecheck",
    "odecheck",
    (__version__,),
    asks,
    KNOWN,
    engines=(Declared(CLOSED, ("dopri5", "dopri8")), Declared(DISCRETE, ("dopri5", "dopri8"))),
    any_steps=True,
    script_call=script_call,
    order=30,
)
