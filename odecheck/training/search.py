"""A search over the knobs of an optimizer: equally many draws for each, the same ones in every run.

A comparison of optimizers is fair where each was tuned as much as the others. Here that is a number of draws: the first
n of Halton's sequence, which fills a cube evenly from the beginning on (eight independent draws of a rate can all miss
the decade in which an optimizer works, and did), each of all knobs, uniform in the ranges below in the logarithm. With
a momentum, rate / (1 − momentum) is drawn, the length of a step in a direction that stays: the range of the rate would
else depend on the momentum. Ranges of learning rates are three decades wide for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from odecheck.errors import BadInput


@dataclass(frozen=True)
class Range:
    """A knob's: uniform between two ends, in its logarithm; 1 − a share of what is kept, such as a momentum, likewise.

    Attributes:
        low: the lower end.
        high: the upper end.
        kept: whether the knob is 1 less the number that was drawn.
        whole: whether it is rounded to a whole number.
    """

    low: float
    high: float
    kept: bool = False
    whole: bool = False

    def at(self, share: float) -> float:
        """The value at a share from 0 to 1, with three digits, so that it can be read and typed."""
        drawn = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        value = float(f"{drawn:.3g}")
        return round(1 - value, 6) if self.kept else float(round(value)) if self.whole else value


MOMENTUM = Range(0.03, 1.0, kept=True)
# optimizer → its knobs, the learning rate first
KNOBS: Mapping[str, Mapping[str, Range]] = {
    "sgd": {"rate": Range(3e-3, 3.0), "momentum": MOMENTUM},
    "adam": {"rate": Range(1e-4, 0.1), "beta1": MOMENTUM, "beta2": Range(1e-3, 0.1, kept=True)},
    "snopt": {
        "rate": Range(3e-3, 3.0),
        "momentum": MOMENTUM,
        "damping": Range(1e-3, 1.0),
        "refresh": Range(10, 200, whole=True),
    },
}


class Drawn(NamedTuple):
    """A draw.

    Attributes:
        rate: the learning rate.
        knobs: the others, by name.
    """

    rate: float
    knobs: tuple[tuple[str, float], ...]


def draws(optimizer: str, count: int) -> list[Drawn]:
    """The first draws of an optimizer, no two of one learning rate.

    Args:
        optimizer: one of `KNOBS`.
        count: how many; those of a smaller count are the first of these.

    Raises:
        BadInput: an optimizer without knobs.
    """
    if optimizer not in KNOBS:
        raise BadInput(
            f"there are no knobs of an optimizer {optimizer!r}", "a misspelt name", f"one of: {', '.join(KNOBS)}"
        )
    ranges = KNOBS[optimizer]
    qmc: Any = import_module("scipy.stats.qmc")
    halton = qmc.Halton(len(ranges), scramble=False)
    halton.fast_forward(1)  # its first point is the corner
    found: dict[float, Drawn] = {}
    while len(found) < count:
        (shares,) = halton.random(1)
        drawn = {name: one.at(float(share)) for (name, one), share in zip(ranges.items(), shares, strict=True)}
        rate = float(f"{drawn.pop('rate') * (1 - drawn.get('momentum', 0.0)):.3g}")
        found.setdefault(rate, Drawn(rate, tuple(drawn.items())))
    return list(found.values())


def told(knobs: tuple[tuple[str, float], ...]) -> str:
    """Knobs in words, for a row: "momentum 0.9, damping 0.05"; nothing where there are none."""
    return ", ".join(f"{name} {value:g}" for name, value in knobs)
