"""Solves that end where an event function changes its sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .arguments import Start
from .fields import Leaves
from .stepping import integrate_until
from .user_field import is_plain


def until_event(problem: Start, t: Tensor, event_fn: Callable, single: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Solve to the event, once; derivatives are those of a solve to that fixed time.

    The time τ of the event c(τ, y(τ)) = 0 has the derivative of the implicit function, for y(·) moved by (y0, t0, θ)
    and for what the event function itself depends on:

        dτ = −dc / (c_t + c_y·F),    dc at fixed τ.

    Args:
        problem: what is solved.
        t: (2,), the start and a time that says in which direction.
        event_fn: (t, y) → a tensor, whose first entry to change its sign is the event.
        single: whether the state is one tensor.

    Returns:
        τ, of t's dtype, and the states at the start and at τ.

    Raises:
        ValueError: not two times.
        NotImplementedError: under a transform of torch.func or forward mode, and in backward(create_graph=True).
        SolveError: the solver gave up.
    """
    if len(t) != 2:
        raise ValueError(f"with event_fn t has two times, the start and one that gives the direction, not {len(t)}")
    if not is_plain(t, *problem.y0, *problem.inputs):
        raise NotImplementedError(
            "events have derivatives by backward() alone, no transform of torch.func and no forward mode. Find the "
            "time first, outside, and solve to it: odeint(field, y0, torch.stack([t0, event_t]))"
        )

    def event(t: Tensor, y: Leaves) -> Tensor:
        return event_fn(t, y[0] if single else tuple(y))

    flow = problem.flow
    with torch.no_grad():
        signs = torch.sign(event(t[0], problem.y0))
        found, known = integrate_until(flow.field, t, problem.y0, problem.inputs, flow.forward, flow.pace, event)
    when = found.to(t).reshape(())
    out = replace(flow, known=known).along(torch.stack([t[0], when]), problem.y0, problem.inputs)

    def first(t: Tensor, y: Leaves) -> Tensor:
        return torch.min(event(t, y) * signs)

    ends = [x[-1] for x in out]
    value = first(when, ends)
    if value.requires_grad:
        when = _EventTime.apply(value, when, problem, first, *(x.detach() for x in ends))
    # views: a hook on what the caller holds hears of the caller's own cotangents, and not of the time's share in them
    return when, tuple(x.view_as(x) for x in out)


class _EventTime(torch.autograd.Function):
    """The time of an event as a function of the event function's value there."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, when: Tensor, problem: Start, first: Callable, *ends: Tensor) -> Tensor:
        ctx.problem, ctx.first = problem, first
        ctx.save_for_backward(when, *ends)
        return when.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():  # by create_graph=True
            raise NotImplementedError(
                "the time of an event has first derivatives alone: leave create_graph=True out, or solve to a fixed one"
            )
        when, *ends = (x.detach().requires_grad_() for x in ctx.saved_tensors)
        with torch.enable_grad():
            value = ctx.first(when, ends)
        slopes = torch.autograd.grad(value, [when, *ends], allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            rates = ctx.problem.flow.field(when, ends, [x.detach() for x in ctx.problem.inputs])
        total = slopes[0] + sum((s * rate).sum() for s, rate in zip(slopes[1:], rates, strict=True))
        return (-(grads[0] / total).to(value), None, None, None, *(None for _ in ends))
