"""What was seen of a field, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A derivative at one place. defect: |claimed − measured| in the size of value and derivative together, and bar:
    what of it truncation and rounding explain. mode: how automatic differentiation was asked, "reverse mode", "forward
    mode" or "reverse mode twice"."""

    t: float
    mode: str
    defect: float
    bar: float

    @property
    def off(self) -> bool:
        return not self.defect <= self.bar


@dataclass(frozen=True)
class Defect:
    """A derivative that is not that of the values. along: the variables in whose directions it is off, worst first;
    "t", "y", or names of parameters. flat: values do not change at all with a step of 1e-10 in the first
    of them."""

    sample: Sample
    along: tuple[str, ...]
    flat: bool = False


@dataclass(frozen=True)
class DerivativesSeen:
    """What was seen of a field's derivatives.

    samples: of every place that was judged. judged: the times of these places. asked: places. start, end: the
    interval. worst: the first defect that was confirmed. untouched: parameters whose gradient was zero everywhere.
    """

    samples: tuple[Sample, ...]
    judged: tuple[float, ...]
    asked: int
    start: float
    end: float
    worst: Defect | None
    untouched: tuple[str, ...]

    @property
    def not_judged(self) -> int:
        """Places at which the values have no derivative that could be told: kinks, noise, no finite value."""
        return self.asked - len(self.judged)

    @property
    def off(self) -> tuple[Sample, ...]:
        return tuple(s for s in self.samples if s.off)

    @property
    def window(self) -> float:
        """The narrowest window of time that was certainly looked at, wherever it lies."""
        times = np.sort(np.array([self.start, *self.judged, self.end]))
        return float(np.max(np.diff(times)))

    @property
    def resolved(self) -> float:
        """The relative defect that would have been seen at any place that was judged."""
        return max((s.bar for s in self.samples if s.mode == "reverse mode"), default=float("inf"))
