"""Jumps of a field in time, found where a solver's steps became tiny, down to two neighbouring numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bounded import Array
from .dense import Steps

Rate = Callable[[float, Array], Array]
Pair = tuple[float, float]

# steps shorter than this share of their segment are suspicious; places looked at in one run
TINY, MOST = 1e-8, 400
# the bracket around a tiny step, in lengths of it; the least share of its rate by which a field jumps
AROUND, LEAST = 1e4, 1e-9


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
    first, last = rate(lo, v) / size, rate(hi, v) / size
    whole = float(np.max(np.abs(last - first)))
    if not np.isfinite(whole) or whole <= LEAST * float(np.max(np.abs(first) + np.abs(last))):
        return None
    while lo < (middle := lo + (hi - lo) / 2) < hi:
        value = rate(middle, v) / size
        if np.max(np.abs(value - first)) <= np.max(np.abs(value - last)):
            lo = middle
        else:
            hi = middle
    step = float(np.max(np.abs(rate(hi, v) - rate(lo, v)) / size))
    return (lo, hi) if step > whole / 2 else None
