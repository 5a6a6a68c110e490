"""torchdiffeq: backpropagation through the steps, and the continuous adjoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torchdiffeq as _torchdiffeq  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor, nn

from ..solvers import Adaptive, Solver
from .base import EventFn, OdeIntEngine, Unsupported

_library: Any = _torchdiffeq  # it has no types


@dataclass(frozen=True)
class TorchdiffeqEngine(OdeIntEngine):
    """One of torchdiffeq's two interfaces, its events and its options for discontinuities included."""

    def event(self, module: nn.Module, solver: Solver, y0: Tensor, t0: Tensor, event: EventFn) -> tuple[Tensor, Tensor]:
        found: list[tuple[Tensor, Tensor]] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            # nobody knows the time of an event beforehand: there is none to land on
            how["options"] = {key: value for key, value in how["options"].items() if key != "step_t"}
            found.append(
                _library.odeint_event(field, start, times, event_fn=event, odeint_interface=self.odeint, **how)
            )
            return start

        solver.solve(solve, module, y0, t0)
        time, states = found[0]
        return time, states[-1]

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        if not isinstance(solver, Adaptive) or solver.method == "scipy_solver":
            raise Unsupported(f"{solver.name} has no jump_t")
        return replace(solver, options={**solver.options, "jump_t": jumps})


BACKPROP = TorchdiffeqEngine("torchdiffeq backprop", "steps", _library.odeint, unsupported_methods=("scipy_solver",))
ADJOINT = TorchdiffeqEngine("torchdiffeq adjoint", "flow", _library.odeint_adjoint)


def Backprop() -> OdeIntEngine:
    """torchdiffeq.odeint: the derivative of the steps, by automatic differentiation."""
    return BACKPROP


def Adjoint() -> OdeIntEngine:
    """torchdiffeq.odeint_adjoint: the derivative of the flow, by a second solve backwards in time."""
    return ADJOINT
