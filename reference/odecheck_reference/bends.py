"""Whether a field bends so often along one solution that no integration can end at every bend.

A relu, an absolute value or a maximum of the state makes the slope of the rates jump where the state crosses a place.
A few such bends are found one by one, and integrations end there (`kinks`). A wide network has thousands of them, and
its solution meets hundreds. Steps of any method are then off by h² J beside each in the state, and by h ΔF_y in a
derivative: derivatives are known to first order alone, and nothing is gained by a formula of higher order.

How often is told by second differences of the rates along a rough solution, in short windows. Those of a smooth
function fall with the square of their width, over a bend with the width itself, and a few of the windows that show one
are followed down to where nothing but rounding would hide a smooth curve.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bounded import Array
from .flat import Flat, is_large
from .kinks import kink_in
from .looked import kept
from .path import OutOfBudget, path
from .problem import Problem

# windows that the whole interval is cut into, and how many of those that show a bend are looked at closer
WINDOWS, CLOSER = 64, 6
# of the rough solution: its tolerance, and evaluations after which the field is left to others
ROUGH, MOST = 1e-3, 4_000
# so many windows must show a bend: that many of them mean −log(1 − LEAST / WINDOWS) WINDOWS bends, 8.5, of which three
# in four show
LEAST = 8
# what second differences fall by where the width is halved, between two and four, the least that is no rounding in
# units of the rates
FALL, ROUNDED = 2.8, 1e-11


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
    return shown >= LEAST and 2 * found > CLOSER


def bends_at_all(problem: Problem) -> bool:
    """Whether a field bends along its solution.

    Args:
        problem: what is asked about, of any size.
    """
    return _bends(problem)[1] > 0


@kept(128)
def _bends(problem: Problem) -> tuple[int, int]:
    """In how many windows a bend shows, and in how many of those that were looked at closer there is one."""
    f = Flat(problem, problem.breaks, MOST)
    begin, width = float(f.times[0]), float(f.times[-1] - f.times[0]) / WINDOWS
    try:
        with np.errstate(all="ignore"):
            along = path(f.f, f.start, f.times, rtol=ROUGH, breaks=f.breaks)

            def rate(t: float) -> Array:
                return f.f(t, along(t))

            def within(start: float) -> Callable[[float], Array]:
                return lambda x: rate(start + x * width)

            f.budget += MOST
            shown = [
                start for start in (begin + width * np.arange(WINDOWS)).tolist() if _falls_slowly(rate, start, width)
            ]
            closer = list[float](np.random.default_rng(0).permutation(shown)[:CLOSER])
            return len(shown), sum(kink_in(0.0, 1.0, within(start)) is not None for start in closer)
    except (OutOfBudget, ValueError):
        return 0, 0


def _falls_slowly(rate: Callable[[float], Array], start: float, width: float) -> bool:
    """Whether second differences of the rates fall by less than those of a smooth function."""
    r = np.stack([rate(start + x * width) for x in (0.0, 0.25, 0.5, 0.75, 1.0)])
    size = np.max(np.abs(r), axis=0)
    whole = float(np.max(np.abs(r[0] - 2 * r[2] + r[4])))
    half = max(float(np.max(np.abs(r[i] - 2 * r[i + 1] + r[i + 2]))) for i in (0, 2))
    return bool(np.isfinite(whole)) and half > ROUNDED * float(np.max(size)) and whole < FALL * half
