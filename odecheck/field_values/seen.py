"""What was seen of a field, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A derivative at one place.

    Attributes:
        t: The time there.
        mode: How automatic differentiation was asked, "reverse mode", "forward mode" or "reverse mode twice".
        defect: |claimed − measured| in the size of value and derivative together.
        bar: What of the defect truncation and rounding explain.
    """

    t: float
    mode: str
    defect: float
    bar: float

    @property
    def off(self) -> bool:
        """Whether the defect is more than its bar."""
        return not self.defect <= self.bar


@dataclass(frozen=True)
class Defect:
    """A derivative that is not that of the values.

    Attributes:
        sample: The derivative.
        along: The variables in whose directions it is off, worst first; "t", "y", or names of parameters.
        flat: Whether values do not change at all with a step of 1e-10 in the first of them.
    """

    sample: Sample
    along: tuple[str, ...]
    flat: bool = False


@dataclass(frozen=True)
class DerivativesSeen:
    """What was seen of a field's derivatives.

    Attributes:
        samples: Of every place that was judged.
        judged: The times of these places.
        asked: How many places were asked.
        start: The first time of the interval.
        end: The last one.
        worst: The first defect that was confirmed.
        untouched: Parameters whose gradient was zero everywhere.
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
        """The samples whose defect is more than its bar."""
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
