"""Where integrations end, and where the defect is looked at: cuts and strata of each segment between observations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .bounded import Array

# every segment has so many strata at least; a stratum that was not explained is divided into so many
FEWEST = 64
INSIDE = 64
# cuts closer than this, in units of the segment, are one
CLOSE = 1e-14


@dataclass(frozen=True)
class Interval:
    """[lo, hi] in units of its segment; short: cut out because something was seen in it."""

    lo: float
    hi: float
    short: bool


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata [lo, hi] of one segment, in units of it, and the weight of each in an integral over time.

    Strata of a finer set inside of a coarser one carry the weight; what they cover has none in the coarser one.
    """

    lo: Array
    hi: Array
    weight: Array


class Mesh:
    """The cuts of all segments, and which of the intervals between them were cut out."""

    def __init__(self, ts: Array, breaks: Sequence[float] = ()) -> None:
        self.lengths = np.abs(np.diff(ts))
        self.cuts: list[set[float]] = [{0.0, 1.0} for _ in self.lengths]
        self.after: list[dict[float, float]] = [{} for _ in self.lengths]
        self.zoomed: list[list[tuple[float, float]]] = [[] for _ in self.lengths]
        for k, (start, stop) in enumerate(pairwise(ts)):
            for at in breaks:
                x = (at - start) / (stop - start)
                if 0 < x < 1:
                    self.cuts[k].add(float(x))

    @property
    def count(self) -> int:
        """How many cuts there are beside the observations."""
        return sum(len(cuts) - 2 for cuts in self.cuts)

    def intervals(self, k: int) -> Iterator[Interval]:
        """The intervals of segment k in order."""
        kept = [0.0]
        for x in sorted(self.cuts[k])[1:]:
            if x - kept[-1] > CLOSE or x in self.after[k]:
                kept.append(x)
            elif x == 1.0:
                kept[-1] = x
        for lo, hi in pairwise(kept):
            middle = (lo + hi) / 2
            short = any(a <= middle <= b for a, b in self.zoomed[k])
            if self.after[k].get(lo, lo) < hi:
                yield Interval(self.after[k].get(lo, lo), hi, short)

    def jump(self, k: int, before: float, after: float) -> None:
        """The field jumps between two neighbouring numbers: end at the one, and go on from the other."""
        self.after[k][before] = after
        self.cuts[k].add(before)

    def cut(self, k: int, points: Sequence[float]) -> None:
        """End all integrations at these points of segment k as well."""
        self.cuts[k].update(float(x) for x in points if 0 < x < 1)

    def strata(self, k: int, number: int, marks: Array) -> Strata:
        """Strata of segment k: its share of `number`, those of what was cut out, and those between `marks`."""
        share = max(int(np.ceil(number * self.lengths[k] / self.lengths.sum())), FEWEST)
        edges = np.linspace(0, 1, share + 1)
        edged = [edges, *(np.linspace(a, b, INSIDE + 1) for a, b in self.zoomed[k])]
        sets = list[tuple[Array, Array, Array]]()
        for level, points in enumerate(edged):
            lo, hi = points[:-1], points[1:]
            covered = np.zeros(len(lo), bool)
            for a, b in self.zoomed[k][level:]:
                covered |= (lo >= a) & (hi <= b)
            sets.append((lo, hi, np.where(covered, 0.0, hi - lo)))
        if len(marks) > 1:
            close = np.diff(marks) < edges[1]  # the others are wider than what is looked at anyway
            sets.append((marks[:-1][close], marks[1:][close], np.zeros(np.count_nonzero(close))))
        return Strata(*(np.concatenate(part) for part in zip(*sets, strict=True)))

    def zoom(self, k: int, lo: Array, hi: Array) -> None:
        """Cut out what was not explained, with as much again on both sides; neighbours are joined."""
        wide = sorted((max(2 * a - b, 0.0), min(2 * b - a, 1.0)) for a, b in zip(lo.tolist(), hi.tolist(), strict=True))
        joined: list[list[float]] = []
        for a, b in wide:
            if joined and a <= joined[-1][1]:
                joined[-1][1] = max(b, joined[-1][1])
            else:
                joined.append([a, b])
        whole = [(0.0, 0.5), (0.5, 1.0)]  # all of it is to be looked at closer: in two parts
        parts = [part for a, b in joined for part in ([(a, b)] if b - a < 1.0 else whole)]
        self.zoomed[k] += parts
        self.cut(k, [x for part in parts for x in part])
