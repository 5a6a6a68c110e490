"""Jumps of a field, found down to two neighbouring numbers: in time, where steps became tiny, and in the state.

Where a field jumps in time, integrations end. Where it jumps because its own state crosses a place, the time of the
crossing moves with the start and the parameters: a derivative of the flow has a jump there,
Φ⁺ = (I + (f⁺ − f⁻) nᵀ / nᵀf⁻) Φ⁻, that no variational equation has (Hiskens & Pai, IEEE Trans.
Circuits Syst. I 47, 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np

from .bounded import Array
from .dense import Mask, Steps
from .stepping import FlowError

Rate = Callable[[float, Array], Array]
Pair = tuple[float, float]

# steps shorter than this share of their segment are suspicious; places looked at in one run
TINY, MOST = 1e-8, 400
# the bracket around a tiny step, in lengths of it; the least share of its rate by which a field jumps
AROUND, LEAST = 1e4, 1e-9
# halvings of a bracket after which a field that is smooth in it is told from one that jumps
SMOOTH = 12


def jumps(steps: Steps, rate: Rate, scale: Callable[[float], Array]) -> list[Pair]:
    """(x before, x after) of the jumps in time of one segment.

    rate: dv/dx at (x, v), with v as in the steps. scale: sizes of v at x (n,).
    """
    found = list[Pair]()
    left, right = np.array(steps.left), np.array(steps.right)
    length = right - left
    tiny = np.flatnonzero(length < TINY)
    for group in np.split(tiny, np.flatnonzero(np.diff(tiny) > 1) + 1) if len(tiny) else []:
        shortest = int(group[np.argmin(length[group])])
        reach = AROUND * float(length[shortest])
        lo, hi = max(float(left[shortest]) - reach, 0.0), min(float(right[shortest]) + reach, 1.0)
        one = _between(lo, hi, steps.values[shortest][0], rate, scale(float(left[shortest])))
        if one is not None:
            found.append(one)
        if len(found) >= MOST:
            break
    return found


def _between(lo: float, hi: float, v: Array, rate: Rate, size: Array) -> Pair | None:
    """The neighbouring numbers between which the field at v changes by most of what it changes from lo to hi."""
    return _narrowed(lo, hi, lambda x: rate(x, v) / size)


def _narrowed(lo: float, hi: float, rate: Callable[[float], Array]) -> Pair | None:
    first, last = rate(lo), rate(hi)
    whole = float(np.max(np.abs(last - first)))
    if not np.isfinite(whole) or whole <= LEAST * float(np.max(np.abs(first) + np.abs(last))):
        return None
    at_lo, at_hi = first, last
    for halvings in count(1):
        middle = lo + (hi - lo) / 2
        if not lo < middle < hi:
            break
        value = rate(middle)
        if np.max(np.abs(value - first)) <= np.max(np.abs(value - last)):
            lo, at_lo = middle, value
        else:
            hi, at_hi = middle, value
        # what is smooth has changed by 2^-halvings of it here, and a jump stays what it is
        if halvings >= SMOOTH and np.max(np.abs(at_hi - at_lo)) < whole / 8:
            return None
    return (lo, hi) if np.max(np.abs(at_hi - at_lo)) > whole / 2 else None


# samples that are looked at closer, and how many times the median of its neighbours such a one is off a straight line
CLOSEST, OFF_LINE = 48, 20


def along(
    x: Array, rates: Array, rate: Callable[[float], Array], together: Callable[[Array], Array] | None = None
) -> Pair | None:
    """The neighbouring times between which the rates of a state jump along its own way, if they do.

    x (m,): increasing times; rates (m, n) there; rate: the rates at any time; together: at many increasing times, by
    which all that is smooth is told from jumps at once.
    """
    if len(x) < 8:
        return None
    size = np.max(np.abs(rates), axis=0) + np.finfo(np.float64).tiny
    scaled = rates / size
    share = ((x[1:-1] - x[:-2]) / (x[2:] - x[:-2]))[:, None]
    bent = np.max(np.abs(scaled[1:-1] - scaled[:-2] - share * (scaled[2:] - scaled[:-2])), axis=1)
    usual = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(bent, 8, mode="reflect"), 17), axis=1)
    suspicious = np.flatnonzero(bent > OFF_LINE * usual + LEAST)
    suspicious = suspicious[np.argsort(-bent[suspicious])][:CLOSEST]
    left = np.stack([suspicious, suspicious + 1], axis=1).ravel()
    if together is not None and len(left):
        left = left[_may_jump(x[left], x[left + 1], scaled[left], scaled[left + 1], lambda at: together(at) / size)]
    for i in left.tolist():
        found = _narrowed(float(x[i]), float(x[i + 1]), lambda at: rate(at) / size)
        if found is not None:
            return found
    return None


def _may_jump(lo: Array, hi: Array, first: Array, last: Array, rates: Callable[[Array], Array]) -> Mask:
    """Which of many brackets (m,), with rates (m, n) at their ends, are not smooth: the first halvings of `_narrowed`.

    All are halved at once, as a field that takes many times is asked for them at little more than the cost of one.
    """
    whole = np.max(np.abs(last - first), axis=1)
    some = np.isfinite(whole) & (whole > LEAST * np.max(np.abs(first) + np.abs(last), axis=1))
    at_lo, at_hi = first, last
    for _ in range(SMOOTH):
        middle = lo + (hi - lo) / 2
        order = np.argsort(middle, kind="stable")
        value = np.empty_like(first)
        value[order] = rates(middle[order])
        before = np.max(np.abs(value - first), axis=1) <= np.max(np.abs(value - last), axis=1)
        lo, at_lo = np.where(before, middle, lo), np.where(before[:, None], value, at_lo)
        hi, at_hi = np.where(before, hi, middle), np.where(before[:, None], at_hi, value)
    return some & ~(np.max(np.abs(at_hi - at_lo), axis=1) < whole / 8)


def refuse_along(
    name: str,
    x: Array,
    rates: Array,
    rate: Callable[[float, float], Array],
    time: Callable[[float], float],
    together: Callable[[Array], Array] | None = None,
) -> None:
    """Refuse a field that jumps because the state crosses a place: derivatives are not followed there.

    Args:
        name: of the problem.
        x: times in increasing order (m,).
        rates: the field along the way there, (m, n).
        rate: (x, at) ↦ the field at time x in the state at `at`.
        time: x ↦ the time that is told.
        together: many increasing times (m,) ↦ the field along the way there, (m, n), where that is had at once.

    Raises:
        FlowError: the field jumps, and does so because of the state.
    """
    found = along(x, rates, lambda at: rate(at, at), together)
    if found is not None:
        refuse(name, found, rate, time)


def refuse(name: str, found: Pair, rate: Callable[[float, float], Array], time: Callable[[float], float]) -> None:
    """The same of a jump between two times that was found. Raises FlowError where it is one of the state."""
    if _mostly_in_time(found, rate):
        return
    raise FlowError(
        f"problem {name!r}: the field, or its slope, jumps at t = {time(found[0]):.8g} because its state crosses a "
        "place there. The solution goes on, but its derivatives jump by what no variational or adjoint equation knows. "
        "Usual cause: sign, where or a comparison of the state, for second derivatives relu as well. Ask for what "
        "needs one derivative less, or smooth the field."
    )


def _mostly_in_time(found: Pair, rate: Callable[[float, float], Array]) -> bool:
    """Whether rates at one state, rate(x, the state's x), change as much as along the way."""
    before, after = found
    first = rate(before, before)
    along_the_way, in_time = np.abs(rate(after, after) - first), np.abs(rate(after, before) - first)
    most = int(np.argmax(along_the_way))
    return bool(in_time[most] > along_the_way[most] / 2)
