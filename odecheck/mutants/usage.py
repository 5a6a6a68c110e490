"""Wrong events, and wrong answers of a module that is used again or changed before the way back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .base import wrong_engine

# --- events ----------------------------------------------------------------------------------------------------


def _late(engine: Any, module: Any, solver: Any, y0: Tensor, t0: Tensor, event: Any) -> tuple[Tensor, Tensor]:
    return engine.event(module, solver, y0, t0, lambda t, y: event(t, y) + 1e-3)


def _time_detached(engine: Any, module: Any, solver: Any, y0: Tensor, t0: Tensor, event: Any) -> tuple[Tensor, Tensor]:
    time, state = engine.event(module, solver, y0, t0, event)
    return time.detach() + 0 * state.sum(), state


def _fixed_time(engine: Any, module: Any, solver: Any, y0: Tensor, t0: Tensor, event: Any) -> tuple[Tensor, Tensor]:
    """The state's derivative at a time that is held fixed."""
    time, _ = engine.event(module, solver, y0, t0, event)
    states = engine.attached(module, solver, y0, torch.stack([t0.reshape(()), time.detach().reshape(())]))
    return time, states[-1]


def _linearised(engine: Any, module: Any, solver: Any, y0: Tensor, t0: Tensor, event: Any) -> tuple[Tensor, Tensor]:
    """One step of Newton from the detached time, with a slope that is a constant: right to first order alone."""
    time, _ = engine.event(module, solver, y0, t0, event)
    fixed = time.detach().reshape(())
    states = engine.attached(module, solver, y0, torch.stack([t0.reshape(()), fixed]))
    rate = module(fixed, states[-1]).detach()
    moved = -states[-1][0, 0] / rate[0, 0]
    return fixed + moved, states[-1] + rate * moved


EVENT_LATE = wrong_engine("the event is met at another level", event=_late)
EVENT_TIME_DETACHED = wrong_engine("the time of an event is a constant", event=_time_detached)
EVENT_STATE_OF_FIXED_TIME = wrong_engine("the state at an event, as if its time did not move", event=_fixed_time)
EVENT_LINEARISED = wrong_engine("an event that is right to first order", event=_linearised)

# --- use -------------------------------------------------------------------------------------------------------


def _first_forgotten(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    states = engine.attached(module, solver, y0, ts)
    current = module.__dict__.setdefault("_solves", [0])
    current[0] += 1
    mine = current[0]
    keep: Any = _IfLast.apply(current, mine, states)
    return keep


class _IfLast(torch.autograd.Function):
    """The identity, that is differentiated for the last solve alone."""

    @staticmethod
    def forward(ctx: Any, current: list[int], mine: int, states: Tensor) -> Tensor:
        ctx.current, ctx.mine = current, mine
        return states.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, None, grads[0] * float(ctx.mine == ctx.current[0])


FIRST_SOLVE_FORGOTTEN = wrong_engine("of two solves the last alone is differentiated", attached=_first_forgotten)


class _Recompute(torch.autograd.Function):
    """Solves without a graph, and again, with whatever the module is by then, on the way back."""

    @staticmethod
    def forward(ctx: Any, solve: Any, y0: Tensor, *params: Tensor) -> Tensor:
        ctx.solve, ctx.y0, ctx.params = solve, y0.detach(), params
        with torch.no_grad():
            return solve(y0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        with torch.enable_grad():
            start = ctx.y0.requires_grad_()
            states = ctx.solve(start)
        found = torch.autograd.grad(states, [start, *ctx.params], grads[0], allow_unused=True)
        return None, *found


def _recomputes(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    params = [p for p in module.parameters() if p.requires_grad]
    result: Any = _Recompute.apply(lambda start: engine.attached(module, solver, start, ts), y0, *params)
    return result


RECOMPUTES = wrong_engine("the solve is done again on the way back", attached=_recomputes)
