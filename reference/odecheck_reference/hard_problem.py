"""A problem whose flow and sensitivities are known, and whether what is said of it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .bounded import Bounded
from .fields.field import Field
from .losses import Linear as LinearLoss
from .problem import Problem
from .sensitivity import Gradient

mp: Any = mpmath
DIGITS = 60


@dataclass(frozen=True, eq=False)
class Hard:
    """A problem with L = Σ y(T), and what is known of it, as lists of mpmath numbers, row after row.

    solution: y(T) (batch * state,). y0: dL/dy0 (batch * state,). theta: dL/dtheta (params,), or
    None where it is not known.
    narrowest: how long its narrowest feature takes, in units of time; infinite if it has none.
    """

    family: str
    problem: Problem
    solution: Any
    y0: Any
    theta: Any
    narrowest: float

    def pairs(self, seen: Bounded, slopes: Gradient) -> list[tuple[str, Bounded, list[Any]]]:
        """(name, what the reference says, the truth) of all that is known."""
        last = Bounded(seen.value[-1], {"bar": seen.radius[-1]}, looked_at=seen.looked_at)
        pairs = [("solution", last, self.solution), ("gradient in y0", slopes.y0, self.y0)]
        return pairs if self.theta is None else [*pairs, ("gradient in theta", slopes.theta, self.theta)]

    def outside(self, seen: Bounded, slopes: Gradient) -> list[str]:
        """Which of the reference's words about it do not hold."""
        return [name for name, bounded, truth in self.pairs(seen, slopes) if not _within(bounded, truth)]


def _within(bounded: Bounded, truth: list[Any]) -> bool:
    values, bars = bounded.value.ravel().tolist(), bounded.radius.ravel().tolist()
    with mp.workdps(DIGITS):
        return all(abs(mp.mpf(v) - t) <= b for v, b, t in zip(values, bars, truth, strict=True))


def at_the_end(
    name: str,
    field: Field,
    y0: list[list[float]],
    theta: list[float],
    ts: Sequence[float],
) -> Problem:
    """The problem with L = Σ y(T). y0: a list for each row."""
    start = np.array(y0)
    weight = np.zeros((len(ts), *start.shape))
    weight[-1] = 1.0
    return Problem(name, field, start, np.array(theta), np.array(ts), LinearLoss(weight))
