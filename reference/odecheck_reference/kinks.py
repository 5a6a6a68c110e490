"""Kinks along the way of a state, found down to where rounding hides them: integrations end on both sides of each.

An embedded pair of formulas estimates the error of a smooth step. Of a step over a kink (a relu, an absolute value) the
estimate may be small by accident, in any of several runs, and then no distance between them tells. Such a step shows by
its defect, far larger than that of its neighbours, or is one of a few that are far shorter than those beside them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bounded import Array
from .dense import Steps
from .jumps import Pair

# a step is looked at if its defect, times its length, is more than so many tolerances, and so many times that of others
OFTEN, ABOVE = 10, 30
# so many steps on each side are nearby
NEARBY = 4
# and a step that is shorter than all nearby, and by so much than one of them
SHORTER = 30
# steps that are looked at in one segment
MOST = 64
# halvings at most, and those that show how second differences fall, by two each or by four; the least of them that is
# no rounding, in units of the rates
HALVINGS, SHOWN, LEAST = 40, 8, 1e-13
# what is halved is at least so wide on both sides, in units of the segment
LEAST_REACH = 1e-7
# integrations end so far beside a kink, in units of the segment
BESIDE = 1e-9
# times so close that their rates differ by rounding alone: how many, how far apart in units of the segment; and so many
# times their second differences is no rounding
CLOSE_TIMES, CLOSE, NO_ROUNDING = 6, 1e-12, 8


def kinks(steps: Steps, x: Array, defect: Array, tolerance: float, rate: Callable[[float], Array]) -> list[Pair]:
    """(x before, x after) of the kinks that steps of one segment went over.

    x (m,): times in increasing order; defect (m,): the largest component there; rate: (n,) along the way.
    """
    step, _, _ = steps.where(x)
    left, right = np.array(steps.left), np.array(steps.right)
    cost = np.zeros(len(left))
    np.maximum.at(cost, step, np.nan_to_num(defect, nan=0.0, posinf=0.0))
    cost *= right - left
    lengths = _nearby(right - left)
    costly = (cost > OFTEN * tolerance) & (cost > ABOVE * np.median(_nearby(cost), axis=1))
    short = (right - left <= lengths.min(axis=1)) & (SHORTER * (right - left) < lengths.max(axis=1))
    places = [(j, j) for j in np.flatnonzero(costly)[np.argsort(-cost[costly])].tolist()]
    places += [(max(j - 1, 0), min(j + 1, len(left) - 1)) for j in np.flatnonzero(short).tolist()]
    found = list[Pair]()
    for first, last in places[:MOST]:
        centre = float(left[first] + right[last]) / 2
        reach = max(float(right[last] - left[first]) / 2, LEAST_REACH)
        at = kink_in(max(centre - reach, 0.0), min(centre + reach, 1.0), rate)
        if at is not None:
            found.append((max(at - BESIDE, 0.0), min(at + BESIDE, 1.0)))
    return found


def _nearby(x: Array) -> Array:
    """(m,) → (m, window): each number with those on both sides of it."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, NEARBY, mode="edge"), 2 * NEARBY + 1)


def kink_in(lo: float, hi: float, rate: Callable[[float], Array]) -> float | None:
    """Where the slope of the rates jumps, if it does.

    A rate that is a small difference of large terms is rounded as these are. A place that is found is asked about again
    with the rounding beside it.

    Args:
        lo: where to look from, in units in which a bend is worth finding to BESIDE.
        hi: where to look to.
        rate: (n,) along the way.

    Returns:
        The place of the largest jump of a slope, or None where the rates are smooth.
    """
    rounded = np.maximum(_rounding(lo, CLOSE, rate), _rounding(hi, -CLOSE, rate))
    at = _bent(lo, hi, rate, rounded)
    if at is None:
        return None
    beside = np.maximum(_rounding(at - BESIDE, -CLOSE, rate), _rounding(at + BESIDE, CLOSE, rate))
    return _bent(lo, hi, rate, np.maximum(rounded, beside))


def _rounding(at: float, apart: float, rate: Callable[[float], Array]) -> Array:
    """The largest second difference of the rates, (n,), at times so close that nothing but rounding is in them."""
    rates = np.stack([rate(at + i * apart) for i in range(CLOSE_TIMES)])
    return np.nan_to_num(np.max(np.abs(np.diff(rates, n=2, axis=0)), axis=0), posinf=0.0)


def _bent(lo: float, hi: float, rate: Callable[[float], Array], rounded: Array) -> float | None:
    """Where the half with the larger second difference is, time and again; None where that falls as if smooth.

    That of a smooth function falls with the square of the width, over a kink with the width, over a jump not at all.
    Nor does that of rounding, (n,), which counts as none.
    """
    first, middle, last = rate(lo), rate((lo + hi) / 2), rate(hi)
    unit = np.maximum(np.maximum(np.abs(first), np.abs(last)), np.finfo(np.float64).tiny)

    def largest(a: Array, b: Array, c: Array) -> float:
        off = np.abs(a - 2 * b + c)
        return float(np.max(np.where(off <= NO_ROUNDING * rounded, 0.0, off / unit)))

    bent = [largest(first, middle, last)]
    while bent[-1] > LEAST and hi - lo > BESIDE / 8 and len(bent) <= HALVINGS:
        centre = (lo + hi) / 2
        quarter, other = rate((lo + centre) / 2), rate((centre + hi) / 2)
        before, after = largest(first, quarter, middle), largest(middle, other, last)
        if before == after == 0.0:
            break
        if after > before:
            lo, first, middle = centre, middle, other
        else:
            hi, last, middle = centre, middle, quarter
        bent.append(max(before, after))
    fallen = bent[-1 - SHOWN] / max(bent[-1], LEAST**2) if len(bent) > SHOWN else np.inf
    return (lo + hi) / 2 if fallen < 2 ** (1.4 * SHOWN) else None
