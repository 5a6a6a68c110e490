"""The truth about a solve that ends where an event function changes its sign, and the derivatives of where it ends.

With y' = f(t, y; θ), y(t0) = y0, the event's time T is the first t with g(t, y(t); θ) = 0, where g is the smallest of
the event function's outputs, each with the sign that makes it positive at the start. A move of y0, t0 or θ moves the
solution at a fixed time by δy and the event function at a fixed point by g_θ δθ. From g = 0 before and after,

    dT = −(g_y·δy + g_θ δθ) / (g_t + g_y·f),        dy(T) = δy + f dT,        all at (T, y(T)).

So a loss with the cotangents c_t of T, c_y of y(T) and c_0 of the row y(t0) has

    dL = c_0·dy0 + c_y·δy + s (g_y·δy + g_θ δθ),    s = −(c_t + c_y·f) / (g_t + g_y·f):

it is the loss of a solve to the fixed time T with the cotangent c_y + s g_y at its end, and s g_θ is the share that θ
has through the event function itself. dL/dy0 is c_0 + a(t0) with the adjoint a of that cotangent, and since a move of
t0 at fixed y0 is δy = −Φ f(t0, y0), with Φ = ∂y(T)/∂y0, dL/dt0 is −a(t0)·f(t0, y0), as of any solve.

Source: Chen, Amos & Nickel, arXiv:2011.03902, section 3 (the same formulas, without g_θ).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from odecheck_reference.by_adjoint import Answer
from odecheck_reference.path import OutOfBudget, Path, path
from scipy.optimize import brentq, minimize_scalar  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from odecheck.refinement import GRANTED as SAFETY

from .event_function import Event
from .field64 import Array, Field64
from .repeat import Repeat, array, posed_again, real

# places at which the event function is looked at: so many in all, and so many in each step
LOOKS, IN_A_STEP = 64, 4
# where nothing is found up to the step's own event, how far behind it is looked, in lengths of the solve
BEHIND = (1.02, 1.2, 2.0, 4.0)
# Newton's steps are over where they are this part of the solve's length
SHORTEST, NEWTON = 1e-14, 6
# with fewer evaluations a first look is taken along a field with kinks
FIRST_LOOK = 3000


class Undecided(Exception):
    """Where the event is cannot be decided: the message says why."""


class NoEvent(Undecided):
    """There is no event where the solve ended."""


@dataclass
class EventAnswer(Answer):
    """An answer about a solve to an event. solution: at t0 and at the event. duration: T − t0. t: dL/dt0, (1,)."""

    duration: float = 0.0


def begun(f: Field64, repeat: Repeat) -> Event:
    """The event of a call. repeat: the solve posed again."""
    call = f.call
    with posed_again(call) as (_, others, _), torch.no_grad():
        start = call.posed.packed([y.clone() for y in call.start])
        signs = torch.sign(others["event_fn"](call.times[0].clone(), start)).reshape(-1).double()
    if not bool(signs.any()):
        raise Undecided("the event function is zero at the start: there is no side to come from")
    assert call.event_time is not None and call.solution is not None
    size = max(float(y.abs().max()) if y.numel() else 0.0 for y in call.solution[:-1])
    steps = max(1, repeat.steps or 0)
    off = steps * (call.posed.atol + call.posed.rtol * size) if call.posed.adaptive else 0.0
    return Event(
        function=f.ends,
        parts=f.parts,
        packed=call.posed.packed,
        time=f.time,
        vector=f.vector,
        signs=signs,
        own=call.start[0].dtype,
        observed=call.event_time,
        slack=SAFETY * off * np.sqrt(f.states),
    )


@dataclass
class AtEvent:
    """At (T, y(T)): g, g_y, f, g_t + g_y·f, and g_θ by the name of the leaf, of those that the event function has."""

    value: float
    y: Array
    rate: Array
    total: float
    direct: dict[str, Array]

    def newton(self) -> float:
        """How far the event is from here, to first order. Raises Undecided where it has no derivative."""
        if not np.isfinite(self.total):
            raise Undecided(
                "the solution, or the event function along it, is not finite at the event: explicit steps that are too "
                "long for a stiff field, or a field that grows without bound. Judge the solve to a fixed time near it, "
                "odeint(field, y0, torch.stack([t0, t])): its truth is found in implicit steps"
            )
        if self.total == 0:
            raise Undecided(
                "the event function has no slope along the solution where the event is (it is constant, or jumps): "
                "the time of the event has no derivative"
            )
        return -self.value / self.total


def at_event(f: Field64, t: float, y: Array) -> AtEvent:
    """The event function with its derivatives at a time and a state."""
    assert f.event is not None
    with torch.enable_grad():
        time = f.time(t).requires_grad_()
        parts = [x.requires_grad_() for x in f.parts(f.vector(y))]
        value = f.event.first(time, [x.view_as(x) for x in parts])
    wanted = [time, *parts, *f.leaves.values()]
    grads = torch.autograd.grad(value, wanted, allow_unused=True) if value.requires_grad else [None] * len(wanted)
    slope, own = grads[0], grads[1 : 1 + len(parts)]
    g_y = array(f.flat([torch.zeros_like(x) if g is None else g for g, x in zip(own, parts, strict=True)]))
    direct = {
        name: array(real(g))
        for name, g in zip(f.leaves, grads[1 + len(parts) :], strict=True)
        if g is not None and bool(g.any())
    }
    rate = f.f(t, y)
    return AtEvent(float(value.detach()), g_y, rate, float(slope or 0.0) + float(g_y @ rate), direct)


def locate(f: Field64, *, rtol: float) -> None:
    """Find the event on a solution of a relative tolerance: `f.event.when`, and `f.times` ends there.

    Raises:
        OutOfBudget: there is no solution up to it.
        Undecided: the solution only touches the event function's zero.
        NoEvent: the event function does not change its sign where the solve ended, nor behind it.
    """
    event = f.event
    assert event is not None
    start = float(f.times[0])
    if not event.located:
        event.when, event.located = _looked(f, event, rtol), True
    f.times = np.array([start, event.when])
    t, y = event.when, path(f.f, f.start, f.times, rtol=rtol, breaks=f.breaks, dense=False).at_times[-1]
    for _ in range(NEWTON):
        move = at_event(f, t, y).newton()
        if t + move != t:
            y = path(f.f, y, np.array([t, t + move]), rtol=rtol, dense=False).at_times[-1]
        t += move
        if abs(move) <= SHORTEST * abs(t - start):
            break
    event.when = t
    f.times = np.array([start, t])


def _looked(f: Field64, event: Event, rtol: float) -> float:
    """The first time at which g has changed its sign, looked for from the start to behind the step's own event."""
    start, length, there = float(f.times[0]), event.observed - float(f.times[0]), float("nan")
    for far in (1.0, *BEHIND):
        end = start + far * length
        try:
            along = path(f.f, f.start, np.array([start, end]), rtol=rtol, breaks=f.breaks)
        except OutOfBudget:
            if far == 1.0:
                raise
            break  # the field may have no solution behind the event
        values = [(t, event.value(t, along(t))) for t in _places(along, start, end)]
        root = _root(lambda t, a=along: event.value(t, a(t)), values, 1e-15 * abs(length))
        if root is not None:
            return root
        here = at_event(f, event.observed, along(event.observed))
        there = abs(here.value)
        if far == BEHIND[1] and there <= event.slack * float(np.linalg.norm(here.y)):
            raise Undecided(
                f"the solution only touches the event: the event function comes as near to zero as {there:.1e} "
                "without a change of its sign, nearer than the tolerance of the solve can tell"
            )
    raise NoEvent(
        f"the solve ended at t = {event.observed:.6g} as at an event, and the event function does not change its sign "
        f"on the way there, nor soon behind it (it is {there:.2e} there)"
    )


def _root(g: Callable[[float], float], values: list[tuple[float, float]], xtol: float) -> float | None:
    """The first change from positive to negative, also where g is negative between two places alone."""
    find: Any = brentq
    for i, (t, value) in enumerate(values[1:], 1):
        before, high = values[i - 1]
        if high > 0 >= value:
            return float(find(g, before, t, xtol=xtol))
        if i + 1 < len(values) and high > value < values[i + 1][1]:
            ends = sorted((before, values[i + 1][0]))
            lowest: Any = minimize_scalar(
                g, bounds=ends, method="bounded", options={"xatol": 1e-6 * (ends[1] - ends[0])}
            )
            if high > 0 >= lowest.fun:
                return float(find(g, before, lowest.x, xtol=xtol))
    return None


def _places(along: Path, start: float, end: float) -> list[float]:
    steps = [lo + (hi - lo) * k / IN_A_STEP for lo, hi in along.panels for k in range(IN_A_STEP)]
    forwards = 1.0 if end >= start else -1.0
    return sorted({start, *steps, *np.linspace(start, end, LOOKS).tolist()}, key=lambda t: forwards * t)


def grazes(f: Field64, along: Callable[[float], Array], promised: float, found: Array) -> str:
    """Why the event is undecided; nothing where it is not.

    The solution may be off by a norm of `promised`, and by less where the state `found` at the time found is closer to
    the truth than that (up to SAFETY times its distance): a solve that has found the event well has not missed it.
    To first order g is off by ‖g_y‖ off, and the event by that over g' = g_t + g_y·f. A root moves smoothly while
    g'² > 2 |g''| times what g is off by; with twice that it is not told from none.
    """
    assert f.event is not None
    t, length = float(f.times[-1]), float(f.times[-1] - f.times[0])
    here, before = (at_event(f, s, along(s)) for s in (t, t - 1e-3 * length))
    bend = abs(here.total - before.total) / (1e-3 * abs(length))
    distance = found - along(t) - here.rate * (f.event.observed - t)
    rounding = torch.finfo(f.call.start[0].dtype).eps * float(np.linalg.norm(found))
    off = min(promised, SAFETY * (float(np.linalg.norm(distance)) + rounding))
    g = float(np.linalg.norm(here.y)) * off
    outputs = f.event.values(t, along(t))
    if len(outputs) > 1 and outputs[1] <= 2 * g:
        return (
            f"two outputs of the event function are zero at once (within {outputs[1]:.1e}): which of them ends the "
            "solve is not to be told, and the event's time has two derivatives"
        )
    if here.total**2 > 4 * bend * g:
        return ""
    return (
        f"the solution grazes the event: there the event function moves at a rate of {abs(here.total):.1e} alone, and "
        f"within the tolerance (it may be off by {g:.1e}) its sign may not change at all"
    )


def pulled(f: Field64, w: Array) -> Callable[[Array], Array]:
    """The cotangents of a solve to the fixed time of the event, of the states (2, n): see above."""

    def effective(states: Array) -> Array:
        here, out = at_event(f, float(f.times[-1]), states[-1]), w.copy()
        out[-1] += share(f, here, w) * here.y
        return out

    return effective


def share(f: Field64, here: AtEvent, w: Array) -> float:
    """The event's share s = −(c_t + c_y·f) / (g_t + g_y·f)."""
    given = f.call.cotangent
    c_t = 0.0 if given is None else float(given[-1])
    return -(c_t + float(w[-1] @ here.rate)) / here.total


def ended(f: Field64, answer: Answer, w: Array | None) -> EventAnswer:
    """An answer of a solve to f's last time, with one step of Newton's to the event that this answer has itself."""
    here = at_event(f, float(f.times[-1]), answer.solution[-1])
    move = here.newton()
    out = EventAnswer(**vars(answer), duration=float(f.times[-1] - f.times[0]) + move)
    out.solution = np.array(answer.solution)
    out.solution[-1] += here.rate * move
    if w is not None and answer.t is not None:
        out.t, s = answer.t[:1], share(f, here, w)
        for name, g in here.direct.items():
            out.theta[name] = out.theta[name] + s * g
    return out


def stepped_to(f: Field64, end_of: Callable[[], Array]) -> None:
    """Move f's last time until the steps of another family end at their own event. end_of: the state at that time."""
    event = f.event
    assert event is not None
    if not event.located:
        f.most = f.evaluations + FIRST_LOOK
        try:
            locate(f, rtol=1e-5)
        except OutOfBudget:  # too many kinks: from where the step's own solve ended
            event.when = event.observed
        finally:
            f.most = float("inf")
    start = float(f.times[0])
    for _ in range(NEWTON):
        f.times = np.array([start, event.when])
        move = at_event(f, event.when, end_of()).newton()
        event.when += move
        if abs(move) <= 1e-12 * abs(event.when - start):
            break
    f.times = np.array([start, event.when])
