"""First and second derivatives of a function of one number from its values alone, each with an uncertainty of its own.

Central differences at five steps, each about half the last, extrapolated to h = 0 (Richardson; Ridders 1982, Adv. Eng.
Softw. 4, 75). A longest step that is too long, because the function is fast or has a kink, is told from the table
itself, and a shorter one is tried. The value at the middle is asked for as well: a table that stepped over what is
there does not return to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from odecheck_reference.bounded import Array

LEVELS = 5
# the longest step of each table, in lengths of the direction; the shortest of one is twice the longest of the next
LONGEST = tuple(2.0 ** -(4 + 5 * k) for k in range(5))
# about halves, and no fractions of each other: steps that are all whole periods of a wave agree on a wrong slope
RATIOS = np.array([1.0, 0.5381, 0.2713, 0.1289, 0.0637], dtype=np.float64)


def _weights(steps: Array) -> Array:
    """Σ w_k p(h_k²) = p(0) for polynomials of a degree below len(steps): Lagrange's in the squares, (levels, 1)."""
    squares = steps**2
    return np.array([[np.prod([b / (b - a) for b in squares if b != a])] for a in squares], dtype=np.float64)


# they do not depend on the longest step, only on the ratio of steps
WEIGHTS, SHORTER, LONGER = _weights(RATIOS), _weights(RATIOS[1:]), _weights(RATIOS[:-1])
# a table that is settled to so many times the size of what is measured is not followed by another
SETTLED = 2e-12


@dataclass(frozen=True, eq=False)
class Slopes:
    """What values say of g'(0) and g''(0).

    first, second: (n,), in the units of g. first_bar, second_bar: (n,), their uncertainties, infinite where nothing
    settled. size: (n,), |g(0)| + |g'(0)|: what an error is relative to.
    """

    first: Array
    first_bar: Array
    second: Array
    second_bar: Array
    size: Array


def slopes(values: Callable[[float], Array], noise: Array, *, whole: bool = False, settled: float = SETTLED) -> Slopes:
    """g'(0) and g''(0) from values.

    Args:
        values: h ↦ g(h), (n,) float64; numbers that are not finite are allowed, and steps that meet them are too long.
        noise: (n,), how far a value may be off by rounding.
        whole: try every longest step, also when one has settled.
        settled: uncertainty, relative to the size, at which no shorter steps are tried.

    Returns:
        Of each component the estimate of the smallest uncertainty. Where two tables contradict each other beyond their
        uncertainties the one of shorter steps counts: longer ones agree by accident where they pass a feature by.
    """
    middle = values(0.0)
    found: tuple[Array, Array, Array, Array] | None = None
    for longest in LONGEST:
        new = _table(values, middle, noise, longest)
        found = new if found is None else _better(found, new)
        size = np.abs(middle) + np.abs(found[0])
        grain = noise / (longest * RATIOS[-1])  # a shorter table cannot do better than this
        if not whole and bool(np.all((found[1] <= settled * size) | (found[1] <= 4 * grain))):
            break
    assert found is not None
    return Slopes(*found, np.abs(middle) + np.abs(found[0]))


def _better(old: tuple[Array, ...], new: tuple[Array, ...]) -> tuple[Array, Array, Array, Array]:
    """Of two tables, the shorter one second: the better of each component, for both derivatives."""
    kept: list[Array] = []
    for (a, a_bar), (b, b_bar) in (((old[0], old[1]), (new[0], new[1])), ((old[2], old[3]), (new[2], new[3]))):
        with np.errstate(invalid="ignore", over="ignore"):
            takes = (b_bar < a_bar) | (np.abs(a - b) > 3 * (a_bar + b_bar))
        kept += [np.where(takes, b, a), np.where(takes, b_bar, a_bar)]
    return kept[0], kept[1], kept[2], kept[3]


def _table(
    values: Callable[[float], Array], middle: Array, noise: Array, longest: float
) -> tuple[Array, Array, Array, Array]:
    steps = longest * RATIOS
    ends = [(values(h), values(-h)) for h in steps]
    h = steps[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        odd = np.array([up - down for up, down in ends]) / (2 * h)
        even = np.array([(up - middle) + (down - middle) for up, down in ends])
        # of a smooth function the values at the two sides, extrapolated, meet the one in the middle
        passed_by = np.maximum(np.abs((WEIGHTS * even).sum(0)) / 2 - 2 * np.abs(WEIGHTS).sum() * noise, 0.0) / steps[-1]
        first, first_bar = _extrapolated(odd)
        second, second_bar = _extrapolated(even / h**2)
        first_bar = first_bar + (np.abs(WEIGHTS) / h).sum() * noise + passed_by
        second_bar = second_bar + 4 * (np.abs(WEIGHTS) / h**2).sum() * noise + passed_by / steps[-1]
    return (*_finite(first, first_bar), *_finite(second, second_bar))


def _extrapolated(rows: Array) -> tuple[Array, Array]:
    """The limit of rows (levels, n) at step zero, and how far it is from what a level less at either end gives."""
    whole = (WEIGHTS * rows).sum(0)
    shorter, longer = (SHORTER * rows[1:]).sum(0), (LONGER * rows[:-1]).sum(0)
    # where the series is in its power law the longer table is some 4^(levels - 1) times as far off as the shorter one
    return whole, np.maximum(np.abs(whole - shorter), np.abs(whole - longer) / 4.0 ** (LEVELS - 2))


def _finite(estimate: Array, bar: Array) -> tuple[Array, Array]:
    fine = np.isfinite(estimate) & np.isfinite(bar)
    return np.where(fine, estimate, 0.0), np.where(fine, bar, np.inf)
