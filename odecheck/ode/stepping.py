"""Stepping a field with torchdiffeq, without a graph, so that memory does not grow with the steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import torch
import torchdiffeq
from torch import Tensor

from odecheck.instruments.told import Times
from odecheck.solvers import ADAPTIVE, ONE_STEP

from .fields import Adjoint, Field, Leaves
from .user_field import UserField

CAUTION = 0.5  # a derivative's step, to begin with, in units of the longest step of the solve before it
CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")


@dataclass(frozen=True)
class Steps:
    """How to step: torchdiffeq's method, tolerances and options.

    Attributes:
        rtol: relative tolerance of every step.
        atol: absolute tolerance, in the units of the state.
        method: torchdiffeq's.
        options: torchdiffeq's, for that method.
    """

    rtol: float
    atol: float
    method: str = "dopri5"
    options: Mapping[str, Any] = dataclass_field(default_factory=dict)


class SolveError(RuntimeError):
    """A solver gave up. The message says where and what to try."""


class Pace:
    """The step size that the first of a family of solves settled on, for the others to begin with.

    A solve and its derivatives cover the same interval with much the same steps. To begin with such a step saves
    the search for a first one, and the steps it takes to grow; if it is too long it is rejected. It is set once,
    so that to evaluate a derivative again gives the same number.

    Attributes:
        first_step: the step to begin with, in units of time; None until a solve has settled on one.
    """

    def __init__(self):
        self.first_step: float | None = None
        self._longest = 0.0

    def options(self, options: Mapping[str, Any]) -> dict:
        """A solver's options, with the first step where the caller has given none."""
        given = {} if self.first_step is None else {"first_step": self.first_step}
        return {**given, **options}

    def observe(self, dt: Tensor) -> None:
        """Take note of an accepted step."""
        self._longest = max(self._longest, abs(dt.item()))

    def settle(self) -> None:
        """The solve has ended: its longest step decides, if none has before."""
        if self.first_step is None and self._longest:
            self.first_step = CAUTION * self._longest


def integrate(
    field: Field, t: Tensor, y: Leaves, p: Leaves, steps: Steps, pace: Pace | None = None
) -> tuple[Tensor, ...]:
    """Solve a field from y at t[0], without a graph.

    Args:
        field: the field.
        t: (times,), strictly monotone.
        y: the states at t[0].
        p: the parameters.
        steps: how to step.
        pace: the step to begin with, which this solve may settle.

    Returns:
        States and quadratures at the times, each with the times as its first axis.

    Raises:
        SolveError: the step size vanished, a value became infinite or NaN, or the steps ran out.
    """
    return _integrate(field, t, y, p, steps, pace or Pace(), None)[1]


def integrate_until(
    field: Field, t: Tensor, y: Leaves, p: Leaves, steps: Steps, pace: Pace, event: Callable[[Tensor, Leaves], Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Solve a field from y at t[0] towards t[1], and on, to where an event function changes its sign.

    Args:
        field: as for `integrate`.
        t: (2,), the start and a time that says in which direction.
        y: as for `integrate`.
        p: as for `integrate`.
        steps: as for `integrate`.
        pace: as for `integrate`.
        event: (t, states) → a number, or several: the first to change its sign is the event.

    Returns:
        The time of the event, and the states at the start and there, each with these two as its first axis.

    Raises:
        SolveError: as for `integrate`.
    """
    return _integrate(field, t, y, p, steps, pace, event)


def _integrate(field: Field, t: Tensor, y: Leaves, p: Leaves, steps: Steps, pace: Pace, event: Callable | None):
    p = [x.detach() for x in p]
    shapes = [x.shape for x in y] + list(field.quadratures)
    sizes = [shape.numel() for shape in shapes]
    start = torch.cat([x.detach().reshape(-1) for x in y] + [y[0].new_zeros(sum(sizes[len(y) :]))])

    def unflatten(flat: Tensor) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]

    options = dict(steps.options)
    if steps.method in ADAPTIVE:
        options = pace.options(options)
    options["norm"] = _norm(field, options.pop("norm", None), shapes, sizes, unflatten, start.device)
    with torch.no_grad(), field.fixed(p) as of_leaves:

        def rates(t: Tensor, flat: Tensor) -> Tensor:
            return torch.cat([x.reshape(-1) for x in of_leaves(t, unflatten(flat)[: field.states])])

        _pass_on_callbacks(field, rates, unflatten, pace if steps.method in ADAPTIVE else None)
        if event is None:
            when, flat = t[-1].detach(), _solve(rates, start, t.detach(), steps, options)
        else:
            given = {"event_fn": lambda t, flat: event(t, unflatten(flat)[: field.states])}
            when, flat = _run(rates, start, t.detach(), steps, options, **given)
    pace.settle()
    return when, tuple(
        x.reshape(len(t), *shape).clone(memory_format=torch.contiguous_format)
        for x, shape in zip(flat.split(sizes, dim=1), shapes, strict=True)
    )


def _solve(rates: Callable, start: Tensor, t: Tensor, steps: Steps, options: dict) -> Tensor:
    def run(start: Tensor, t: Tensor) -> Tensor:
        if steps.method in ADAPTIVE:
            options["step_t"] = _step_ends(options, t)
        return _run(rates, start, t, steps, options)

    if steps.method not in ONE_STEP or "step_size" not in options:
        return run(start, t)
    # A grid of fixed steps meets the requested times only at the two ends; torchdiffeq interpolates
    # linearly to the others. One grid from each time to the next has no such error.
    states = [start]
    for i in range(1, len(t)):
        states.append(run(states[-1], t[i - 1 : i + 1])[-1])
    return torch.stack(states)


def _run(rates: Callable, start: Tensor, t: Tensor, steps: Steps, options: dict, **event: Callable) -> Any:
    try:
        return torchdiffeq.odeint(
            rates, start, t, rtol=steps.rtol, atol=steps.atol, method=steps.method, options=options, **event
        )
    except AssertionError as error:
        reason = str(error)
        if not reason.startswith(("underflow in dt", "non-finite values", "max_num_steps")):
            raise
        raise SolveError(
            f"{steps.method} gave up between t = {t[0].item():g} and t = {t[-1].item():g}: {reason.splitlines()[0]}. "
            "Usual causes: the solution, the field or a derivative of it is infinite or NaN there (a blow-up in "
            f"finite time, sqrt or log at 0), or the tolerances rtol = {steps.rtol:g}, atol = {steps.atol:g} are "
            f"below what {start.dtype} resolves. Evaluate the field at y0 first; then try float64, or looser "
            "tolerances, or a shorter interval."
        ) from error


def _step_ends(options: dict, t: Tensor) -> Tensor:
    """Let steps end on every requested time: between step ends, values are interpolated, at a lower order.

    A time in `jump_t` ends a step too and may not be named twice.
    """
    ends = t[1:].to(torch.float64)
    given, jumps = options.get("step_t"), options.get("jump_t")
    if given is not None:
        ends = torch.cat([torch.as_tensor(given).to(ends), ends]).unique()
    if jumps is not None:
        ends = ends[~torch.isin(ends, torch.as_tensor(jumps).to(ends))]
    return ends


def _norm(field: Field, given: Any, shapes, sizes, unflatten, device) -> Callable[[Tensor], Any]:
    """The largest root mean square over tensors and independent samples.

    A norm given by the caller is used for the field itself, given for the adjoint for the first adjoint; the
    fields of higher derivatives have other states.
    """
    if callable(given) and isinstance(field, UserField):
        return lambda flat: given(unflatten(flat)[0] if field.single else tuple(unflatten(flat)))
    counts = [shape[:axes].numel() for shape, axes in zip(shapes, field.batch, strict=True)]
    if isinstance(field, Adjoint) and isinstance(field.base, UserField):
        if callable(given):
            n, order = field.states, _callers_order(field)
            return lambda flat: given((flat.new_zeros(()), *(unflatten(flat)[i] for i in (*range(n), *order))))
        if given == "seminorm":
            counts[field.states :] = [0] * len(field.quadratures)
    kept = [(count, size) for count, size in zip(counts, sizes, strict=True) if count and size]
    each = torch.tensor([size // count for count, size in kept for _ in range(count)], device=device)
    length = sum(size for _, size in kept)
    if len(each) == 1:
        return lambda flat: flat[:length].square().mean().sqrt()
    group = torch.repeat_interleave(each)

    def norm(flat: Tensor) -> Tensor:
        sums = flat.new_zeros(len(each)).index_add_(0, group, flat[:length].square())
        return (sums / each).max().sqrt()

    return norm


def _callers_order(field: Adjoint) -> list[int]:
    """Where an adjoint keeps the gradients in `adjoint_params`, in the caller's order, for a norm of theirs."""
    declared = field.base.declared  # pyright: ignore[reportAttributeAccessIssue]
    ranks = {index: rank for rank, index in reversed(list(enumerate(declared)))}
    found = sorted(range(len(field.wanted)), key=lambda i: ranks.get(field.wanted[i], i))
    return [field.states + i for i in found]


def _pass_on_callbacks(field: Field, rates: Any, unflatten: Callable, pace: Pace | None) -> None:
    """Let torchdiffeq call the user's callbacks: the plain ones, or the `_adjoint` ones if it solves an adjoint."""
    suffix, inner = "", field
    while not isinstance(inner, UserField):
        suffix = "_adjoint" if isinstance(inner, Adjoint) else suffix
        inner = inner.base  # pyright: ignore[reportAttributeAccessIssue]

    def on_leaves(callback: Callable) -> Callable:
        def call(t0: Tensor, flat: Tensor, dt: Tensor) -> Any:
            leaves = tuple(unflatten(flat)) if suffix else tuple(unflatten(flat)[: inner.states])
            return callback(t0, leaves[0] if inner.single and not suffix else leaves, dt)

        return call

    for name in CALLBACKS:
        callback = getattr(inner.func, name + suffix, None)
        if callback is not None:
            setattr(rates, name, callback.take if isinstance(callback, Times) else on_leaves(callback))
    if pace is None or pace.first_step is not None:
        return
    accepted = getattr(rates, "callback_accept_step", None)

    def accept(t0: Tensor, flat: Tensor, dt: Tensor) -> None:
        pace.observe(dt)
        if accepted is not None:
            accepted(t0, flat, dt)

    rates.callback_accept_step = accept
