"""How large every component of a run is along the way: the unit it is solved in, and what its tolerance is relative to.

A quantity that grows from 1e-20 to 1e20 needs its digits early as well as late, one that starts at zero is not as small
as its start, and a small difference of large numbers is no better known than they are. So the size of a component is
followed on a grid, with a hundredth of what adds up into it (its *natural* size) as the least.

Components whose bar is one and the same, such as the slopes of a state in all parameters, may share one size: the
largest of them. To solve each of them to its own last digit would cost steps and make no bar smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .bounded import Array

GRID = 128
# the least share of its natural size that a component is solved for
NATURAL = 0.01
# sizes may change so much within an interval; beyond so many cuts, and below such a share of the largest, they may more
CHANGE = 16.0
MOST_CUTS = 60
FAINT = 1e-60


def power_of_two(x: Array) -> Array:
    """The next power of two above |x|, one for zero: multiplying by it is exact."""
    _, exponent = np.frexp(np.where(x == 0, 1.0, x))
    return np.where(x == 0, 1.0, np.ldexp(1.0, np.clip(exponent, -1020, 1020)))


class Shared:
    """Which components share one size, by the number of their group (n,); None if every one has a size of its own."""

    def __init__(self, groups: NDArray[np.intp] | None) -> None:
        self.groups = groups
        if groups is not None:
            self.order = np.argsort(groups, kind="stable")
            numbers, self.starts = np.unique(groups[self.order], return_index=True)
            self.back = np.searchsorted(numbers, groups)

    def largest(self, x: Array) -> Array:
        """(..., n) → (..., n), each replaced by the largest of its group."""
        if self.groups is None:
            return x
        return np.maximum.reduceat(x[..., self.order], self.starts, axis=-1)[..., self.back]


@dataclass(frozen=True, eq=False)
class Sizes:
    """unit (n,): powers of two. grids: points of each segment; profiles: sizes at these points, (points, n), in units.

    at_zero (n,): which components start at zero exactly.
    """

    unit: Array
    at_zero: NDArray[np.bool_]
    grids: list[Array] = field(default_factory=list[Array])
    profiles: list[Array] = field(default_factory=list[Array])

    def local(self, k: int, lo: float, hi: float) -> Array:
        """The largest size of each component in [lo, hi] of segment k and just beside it, in units, at most one."""
        if not self.grids:
            return np.ones(len(self.unit))
        grid, profile = self.grids[k], self.profiles[k]
        i, j = np.searchsorted(grid, lo, "right") - 1, np.searchsorted(grid, hi)
        top = profile[max(int(i) - 1, 0) : int(j) + 2].max(axis=0)
        return np.where(top > 1e-100, np.minimum(top, 1.0), 1.0)

    def cuts(self, k: int) -> list[float]:
        """Points of segment k between which a size has changed a thousandfold."""
        profile, grid = self.profiles[k], self.grids[k]
        top = profile.max(axis=0)
        smooth = np.maximum(
            profile, np.maximum(np.vstack([profile[1:], profile[-1:]]), np.vstack([profile[:1], profile[:-1]]))
        )
        least = np.finfo(np.float64).tiny  # of a size that is below the numbers nothing changes a thousandfold
        level = np.log10(np.maximum(np.maximum(smooth, FAINT * np.where(top > 0, top, 1.0)), least))
        level[:, self.at_zero] = 0.0  # a power of time from zero on: what grows faster does not start there
        found, last = list[float](), level[0]
        for x, now in zip(grid[1:-1], level[1:-1], strict=True):
            if np.max(np.abs(now - last), initial=0.0) > np.log10(CHANGE):
                found.append(float(x))
                last = now
        return found[:MOST_CUTS]


def grid_of(share: float) -> Array:
    """The points of a segment that takes this share of the window."""
    return np.linspace(0, 1, max(int(np.ceil(GRID * share)), 4) + 1)
