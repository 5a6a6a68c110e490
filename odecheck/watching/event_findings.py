"""Mistakes around a solve to an event, each in plain words: its time, its derivative, its function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from odecheck_reference import by_adjoint

from odecheck.judge import Verdict

from .events import AtEvent, at_event, share
from .field64 import Array, Field64
from .findings import COARSE, NOTHING
from .repeat import Repeat, array
from .row import Row
from .settle import Truth
from .truth import cotangents

# a gradient is explained by a mistake where it is so much closer to what the mistake gives than to the truth
CLOSER = 0.1
# of the mistake's own gradient, which its name needs no sharper
RTOL = 1e-8
# differences of the event function's values, in lengths of the solve, and what they are trusted to
STEP, TRUSTED = 1e-4, 1e-4
ENDS = 1e-6
GRADIENTS = ("dL/dy0", "dL/dtheta")


def of_no_event(row: Row, reason: Exception) -> None:
    """A solve that ended where there is no event."""
    row.say("no event there", f"{reason}; the event function jumps, or the solver stopped by a mistake")


def of_the_event(row: Row, f: Field64, truth: Truth, observed: dict[str, Array], repeat: Repeat) -> set[str]:
    """What is wrong with the event's time, its function and the gradients through it.

    Returns:
        The names of the leaves whose gradient through the event function is lost: nothing else is to be said of them.
    """
    here = at_event(f, float(f.times[-1]), truth.answer.solution[-1])
    _of_the_time(row, f, truth, observed, repeat)
    w = cotangents(f)
    if w is None or not repeat.has_gradients:
        return set()
    lost = _of_the_parameters(row, f, truth, observed, here, w)
    _of_the_gradients(row, f, truth, observed, here, w, lost)
    return lost


def of_its_function(row: Row, f: Field64) -> bool:
    """Whether the event function's autograd is the derivative of its values where the solve ended; says it if not.

    Asked along the solution, in a direction of the state, and in each leaf; without it nothing can be judged.
    """
    call = f.call
    assert call.event_time is not None and call.solution is not None
    if _autograd_is_right(f, call.event_time, array(call.rows_of(call.solution)[-1])):
        return True
    row.say(
        "cut off",
        "the event function's autograd is not the derivative of its values: a .detach(), .data, .item() or no_grad() "
        "inside cuts the gradient off, and with it that of the event's time",
    )
    return False


def _of_the_time(row: Row, f: Field64, truth: Truth, observed: dict[str, Array], repeat: Repeat) -> None:
    q = row.quantities["event time"]
    if q.verdict is not Verdict.REFUTED and (q.judgement is not None or q.error <= COARSE):
        return
    exact, found = float(truth.parts()["event time"][0]), float(observed["event time"][0])
    start = float(f.times[0])
    text = f"the event was found at t = {start + found:.8g}, and it is at t = {start + exact:.8g}"
    ends = np.cumsum(repeat.accepted)
    if any(abs(ends - abs(found)) <= ENDS * abs(found)):
        row.say("event at the end of a step", f"{text}: a step of the solver ends where it was found, and no root is")
    elif any((ends > abs(exact)) & (ends < abs(found))):
        row.say(
            "event stepped over",
            f"{text}: the event function's sign is looked at where steps end, and between two of them it has changed "
            "twice; a smaller max_step in the options, or a smaller tolerance",
        )
    elif row.adaptive:
        row.say(
            "event time off",
            f"{text}: more than the tolerance explains; between steps a solver interpolates, and some methods (bosh3) "
            "do that less exactly than they step: another method, or a smaller tolerance",
        )


def _of_the_parameters(
    row: Row, f: Field64, truth: Truth, observed: dict[str, Array], here: AtEvent, w: Array
) -> set[str]:
    """The leaves of the event function whose share through it is missing."""
    s, lost = share(f, here, w), set[str]()
    top = max([float(np.abs(x).max(initial=0.0)) for x in truth.answer.theta.values()] or [0.0])
    for name, g in here.direct.items():
        own, exact = s * g, truth.answer.theta[name]
        size = float(np.abs(own).max(initial=0.0))
        if name not in observed or size <= NOTHING * top or size <= truth.bars[name]:
            continue
        if np.linalg.norm(observed[name] - (exact - own)) < CLOSER * np.linalg.norm(own):
            lost.add(name)
            row.say(
                "event parameter, gradient lost",
                f"the gradient of {name} through the event function is lost (it is {size:.1e}): {row.function} "
                "differentiates the event in time and state alone; put it into the state with a rate of zero, or use "
                "odecheck.odeint(event_fn=) for the time of the event",
            )
    return lost


def _of_the_gradients(
    row: Row, f: Field64, truth: Truth, observed: dict[str, Array], here: AtEvent, w: Array, lost: set[str]
) -> None:
    """Gradients that are those of a solve to a fixed time, or have the event's share with the other sign."""
    # a loose tolerance may promise as little as these mistakes leave
    if not any(q.verdict is Verdict.REFUTED or q.error > COARSE for n, q in row.quantities.items() if n in GRADIENTS):
        return
    given, s = f.call.cotangent, share(f, here, w)
    c_t = 0.0 if given is None else float(given[-1])
    fixed = "the gradients are those of a solve to a fixed time, and the event moves with y0 and the parameters: "
    if row.function == "odeint_event":
        fixed += "its backward pass leaves that out; is this torchdiffeq's own odeint_event?"
    else:
        fixed += (
            f"{row.function}(event_fn=) leaves that out; torchdiffeq.odeint_event(field, y0, t0, event_fn=..., "
            f"odeint_interface={row.library}.{row.function}) links it up"
        )
    turned = "the event's share of the gradients has the wrong sign: dT is −dg / (g_t + g_y·f)"
    exact = truth.parts()
    names = [n for n in ("dL/dy0", *f.leaves) if n in observed and n in exact and n not in lost]
    off = _apart(observed, exact, names)
    for kind, text, other in (
        ("event time held fixed", fixed, 0.0),
        ("event time held fixed", fixed, -c_t / here.total),
        ("event gradient turned", turned, -s),
    ):
        if other == s or off <= 0:
            continue
        alternative = _with_share(f, here, w, other)
        if _apart(observed, alternative, names) < CLOSER * off:
            row.say(kind, text)
            return


def _with_share(f: Field64, here: AtEvent, w: Array, s: float) -> dict[str, Array]:
    """The gradients with another share of the event."""
    moved = w.copy()
    moved[-1] += s * here.y
    answer = by_adjoint.dop853(f, lambda _: moved, rtol=RTOL)
    assert answer.y0 is not None
    theta = {n: g + (s * here.direct[n] if n in here.direct else 0.0) for n, g in answer.theta.items()}
    return {"dL/dy0": answer.y0, **theta}


def _apart(a: dict[str, Array], b: dict[str, Array], names: list[str]) -> float:
    return float(np.sqrt(sum(float(((a[n] - b[n]) ** 2).sum()) for n in names)))


def _autograd_is_right(f: Field64, t: float, y: Array) -> bool:
    here, event = at_event(f, t, y), f.event
    assert event is not None
    h = STEP * abs(t - float(f.times[0]))
    v = np.random.default_rng(0).standard_normal(len(y)) * (float(np.abs(y).max(initial=0.0)) or 1.0)
    return not (
        _off(lambda x: event.value(t + x * h, y + x * h * here.rate), here.total * h, here.value)
        or _off(lambda x: event.value(t, y + x * STEP * v), STEP * float(here.y @ v), here.value)
        or any(_leaf_is_wrong(f, name, here, t, y) for name in f.leaves)
    )


def _leaf_is_wrong(f: Field64, name: str, here: AtEvent, t: float, y: Array) -> bool:
    leaf, event = f.leaves[name], f.event
    assert event is not None
    if not leaf.is_floating_point() or not leaf.numel():
        return False
    kept = leaf.detach().clone()
    move = STEP * (kept.abs() + 1e-3)

    def moved(x: float) -> float:
        leaf.data.copy_(kept + x * move)
        return event.value(t, y)

    try:
        said = float((here.direct[name] * array(move)).sum()) if name in here.direct else 0.0
        return _off(moved, said, here.value)
    finally:
        leaf.data.copy_(kept)


def _off(value: Callable[[float], float], said: float, middle: float) -> bool:
    """Whether a central difference is not what autograd says; kinks and rounding are told from their two halves."""
    after, before = value(1.0), value(-1.0)
    measured = (after - before) / 2
    blur = abs(after - 2 * middle + before) + 1e-13 * max(abs(after), abs(before)) + 1e-14
    return abs(measured - said) > 2 * blur + TRUSTED * max(abs(measured), abs(said))
