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
from .dense import Steps
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


def along(x: Array, rates: Array, rate: Callable[[float], Array]) -> Pair | None:
    """The neighbouring times between which the rates of a state jump along its own way, if they do.

    x (m,): increasing times; rates (m, n) there; rate: the rates at any time.
    """
    if len(x) < 8:
        return None
    size = np.max(np.abs(rates), axis=0) + np.finfo(np.float64).tiny
    scaled = rates / size
    share = ((x[1:-1] - x[:-2]) / (x[2:] - x[:-2]))[:, None]
    bent = np.max(np.abs(scaled[1:-1] - scaled[:-2] - share * (scaled[2:] - scaled[:-2])), axis=1)
    usual = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(bent, 8, mode="reflect"), 17), axis=1)
    suspicious = np.flatnonzero(bent > OFF_LINE * usual + LEAST)
    for i in suspicious[np.argsort(-bent[suspicious])][:CLOSEST].tolist():
        for lo, hi in ((x[i], x[i + 1]), (x[i + 1], x[i + 2])):
            found = _narrowed(float(lo), float(hi), lambda at: rate(at) / size)
            if found is not None:
                return found
    return None


def refuse_along(
    name: str, x: Array, rates: Array, rate: Callable[[float, float], Array], time: Callable[[float], float]
) -> None:
    """Refuse a field that jumps because the state crosses a place: derivatives are not followed there.

    Args:
        name: of the problem.
        x: times in increasing order (m,).
        rates: the field along the way there, (m, n).
        rate: (x, at) ↦ the field at time x in the state at `at`.
        time: x ↦ the time that is told.

    Raises:
        FlowError: the field jumps, and does so because of the state.
    """
    found = along(x, rates, lambda at: rate(at, at))
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
