"""Whether a field bends so often along one solution that no integration can end at every bend.

A relu, an absolute value or a maximum of the state makes the slope of the rates jump where the state crosses a place.
A few such bends are found one by one, and integrations end there (`kinks`). A wide network has thousands of them, and
its solution meets hundreds. Steps of any method are then off by h² J beside each in the state, and by h ΔF_y in a
derivative: derivatives are known to first order alone, and nothing is gained by a formula of higher order.

How often is told by second differences of the rates along a rough solution. A bend shows where one of them stands out
among its neighbours, however much the rates curve there; where every one of them has a bend in it, by windows in which
they fall with the width and not with its square. A few places are then looked at ever closer: over a bend the slope
jumps by as much in an eighth of the width, that of a smooth curve changes by an eighth.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .bounded import Array
from .flat import Flat, is_large
from .looked import kept
from .path import OutOfBudget, path
from .problem import Problem

# windows that the whole interval is cut into, the cells of each, and how many of the windows that show a bend are
# looked at closer
WINDOWS, CELLS, CLOSER = 64, 16, 6
# of the rough solution: its tolerance, and evaluations after which the field is left to others
ROUGH, MOST = 1e-3, 4_000
# so many windows must have a bend: that many of them mean −log(1 − LEAST / WINDOWS) WINDOWS bends, 8.5
LEAST = 8
# a second difference stands out if it is so many times as far from a smooth curve through its neighbours as half of so
# many on both sides are; of so many numbers of the state, at most
FAR, NEARBY, NUMBERS = 8, 8, 512
# a jump of a slope counts from so much on, in units of the rates over the whole interval
JUMP = 1e-3
# what second differences fall by where the width is halved: four where all is smooth, two over one bend, 2.8 where
# there are many; the least of them that is no rounding, in units of the rates
FALL, ROUNDED = 3.4, 1e-11
# looked at so often closer, by so much each time; what is left of a jump, between an eighth and one
TIMES, FINER, LEFT = 4, 8, 0.35


def is_bent(problem: Problem) -> bool:
    """Whether the field of a large problem bends more than a dozen times along its solution.

    Args:
        problem: what is asked about; a small one is followed from bend to bend, whatever their number.

    Returns:
        Whether the truth about it is had by steps that are halved, to first order in derivatives.
    """
    if not is_large(problem):
        return False
    shown, found = _bends(problem)
    return found > 0 and shown * found >= LEAST * min(shown, CLOSER)  # as many of the others as of those looked at


def bends_at_all(problem: Problem) -> bool:
    """Whether a field bends along its solution.

    Args:
        problem: what is asked about, of any size.
    """
    return _bends(problem)[1] > 0


@kept(128)
def _bends(problem: Problem) -> tuple[int, int]:
    """In how many windows a bend shows, and at how many of the places that were looked at closer there is one."""
    f = Flat(problem, problem.breaks, MOST)
    cells = WINDOWS * CELLS
    begin, width = float(f.times[0]), float(f.times[-1] - f.times[0]) / cells
    try:
        with np.errstate(all="ignore"):
            along = path(f.f, f.start, f.times, rtol=ROUGH, breaks=f.breaks)

            def rate(t: float) -> Array:
                return f.f(t, along(t))

            f.budget += MOST
            rates = np.stack([rate(begin + i * width) for i in range(cells + 1)])
            size = np.max(np.abs(rates), axis=0)
            size = np.maximum(size, max(ROUNDED * float(np.max(size)), np.finfo(np.float64).tiny))
            shown = _shown(rates / size)
            closer = np.random.default_rng(0).permutation(shown)[:CLOSER].tolist()
            found = sum(_stays(lambda t: rate(t) / size, begin + i * width, width) for i in closer)
            return len(shown), found
    except (OutOfBudget, ValueError):
        return 0, 0


def _shown(rates: Array) -> list[int]:
    """Of each window that shows a bend the sample where it shows most; rates (samples, n), of size one."""
    every = -(-rates.shape[1] // NUMBERS)
    second = np.diff(rates[:, ::every], n=2, axis=0)
    at, pairs = len(second), np.pad(second, ((4, 4), (0, 0)), mode="edge")

    def beside(by: int) -> Array:
        return pairs[4 - by : 4 - by + at] + pairs[4 + by : 4 + by + at]

    off = np.abs(second - (4 * beside(2) - beside(4)) / 6)  # from the cubic through two on either side
    near = np.pad(off, ((NEARBY, NEARBY), (0, 0)), mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(near, 2 * NEARBY + 1, axis=0), axis=-1)
    least = max(ROUNDED, JUMP / (2 * len(rates)))
    stands = np.max(np.where((off > FAR * usual) & (off > least), off, 0.0), axis=1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(stands, 4), 9)
    stands = np.where(stands == np.max(around, axis=-1), stands, 0.0)  # the curve through it shows beside it
    found = list[int]()
    for first in range(0, WINDOWS * CELLS, CELLS):
        here = stands[first : first + CELLS]
        if np.any(here):
            found.append(first + 1 + int(np.argmax(here)))
        elif _falls_slowly(rates[first : first + CELLS + 1]):
            largest = np.max(np.abs(np.diff(rates[first : first + CELLS + 1], n=2, axis=0)), axis=1)
            found.append(first + 1 + int(np.argmax(largest)))
    return found


def _falls_slowly(r: Array) -> bool:
    """Whether second differences of the rates fall by less than those of a smooth function."""
    whole, half = (float(np.max(np.abs(r[: -2 * i] - 2 * r[i:-i] + r[2 * i :]))) for i in (2, 1))
    return bool(np.isfinite(whole)) and half > ROUNDED and whole < FALL * half


def _stays(rate: Callable[[float], Array], t: float, width: float) -> bool:
    """Whether the slope of the rates, of size one, jumps at some place beside t, however close that is looked at."""
    jumps = list[float]()
    for _ in range(TIMES):
        times = np.linspace(t - width, t + width, 2 * FINER + 1)
        second = np.max(np.abs(np.diff(np.stack([rate(x) for x in times.tolist()]), n=2, axis=0)), axis=1)
        at = int(np.argmax(second))
        if not second[at] > ROUNDED:
            break
        t, width = float(times[at + 1]), width / FINER
        jumps.append(float(second[at]) / abs(width))
    return len(jumps) > 1 and math.isfinite(jumps[-1]) and jumps[-1] > LEFT * jumps[-2]
