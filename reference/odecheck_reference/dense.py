"""What a run leaves behind: its steps, each with a polynomial that can be asked for values and slopes anywhere.

scipy's solvers give a dense output without slopes, each of them in a form of its own. On each step it is taken at the
Chebyshev points of a polynomial of degree 13, more than any of these outputs has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounded import Array

Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

NODES = 14
POINTS: Array = 0.5 - 0.5 * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
OFFSETS: Array = np.concatenate([[0.0], POINTS])
_chebyshev: Any = np.polynomial.chebyshev
_VALUES: Array = np.asarray(_chebyshev.chebvander(2 * POINTS - 1, NODES - 1), dtype=np.float64)
TO_COEFFICIENTS = np.linalg.inv(_VALUES)


def _derivatives() -> Array:
    """Row k: the derivative of the k-th Chebyshev polynomial, in Chebyshev polynomials."""
    rows = np.zeros((NODES, NODES))
    for k, one in enumerate(np.eye(NODES)):
        slope = _chebyshev.chebder(one)
        rows[k, : len(slope)] = slope
    return rows


DERIVATIVES: Array = _derivatives()


@dataclass(eq=False)
class Steps:
    """The steps of one run in one segment: left and right end, and values (1 + NODES, n) at the left end and inside."""

    left: list[float] = field(default_factory=list[float])
    right: list[float] = field(default_factory=list[float])
    values: list[Array] = field(default_factory=list[Array])

    def add(self, left: float, right: float, dense: Callable[[Array], Array], shown: Callable[[Array], Array]) -> None:
        """dense: times (m,) → (n, m). shown: what is kept of values (m, n)."""
        at = left + (right - left) * OFFSETS
        self.left.append(left)
        self.right.append(right)
        self.values.append(shown(np.asarray(dense(at), dtype=np.float64).T))

    def where(self, x: Array) -> tuple[Index, Array, Array]:
        """(number of the step, its left end, its length) for each of the times x."""
        left, right = np.array(self.left), np.array(self.right)
        j = np.clip(np.searchsorted(right, x), 0, len(right) - 1)
        return j, left[j], right[j] - left[j]

    def at(self, x: Array, first: int | None = None) -> tuple[Array, Array]:
        """Values and slopes, both (m, n), at increasing times x (m,); first: of so many components only."""
        n = self.values[0][:, :first].shape[1]
        value, slope = np.empty((len(x), n)), np.empty((len(x), n))
        for rows, j in self._runs(x):
            left, length = self.left[j], self.right[j] - self.left[j]
            base, inside = self.values[j][0, :first], self.values[j][1:, :first]
            coefficients = TO_COEFFICIENTS @ (inside - base)
            basis = _chebyshev.chebvander(2 * (x[rows] - left) / length - 1, NODES - 1)
            value[rows] = basis @ coefficients + base
            slope[rows] = (basis @ DERIVATIVES.T) @ coefficients * (2 / length)
        return value, slope

    def _runs(self, x: Array) -> Iterator[tuple[slice, int]]:
        j, _, _ = self.where(x)
        starts = np.flatnonzero(np.diff(j, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(j)], strict=True):
            yield slice(int(start), int(stop)), int(j[start])


class Squeezed:
    """Components of a large system added up with random signs into a few: a defect in any of them shows in its sum."""

    def __init__(self, n: int, groups: int) -> None:
        self.signs: Array = np.random.default_rng(1).choice([-1.0, 1.0], size=n)
        self.starts = np.unique(np.linspace(0, n, groups, endpoint=False).astype(int))

    def __call__(self, z: Array) -> Array:
        """(m, n) → (m, groups)"""
        return np.add.reduceat(z * self.signs, self.starts, axis=1)


@dataclass(eq=False)
class Run:
    """One run: w (times, n) where observed, the steps of each segment, what steps over jumps may have cost (n,)."""

    w: Array
    steps: list[Steps]
    jumps: Array
    evaluations: int
