"""Two optimizers along the whole way: the ratio of their losses at every CPU time, with an interval at each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .training_claims import interval

POINTS = 20
ALPHA = 0.05


@dataclass(frozen=True)
class Point:
    """The ratio of losses of two optimizers at one CPU time.

    Attributes:
        share: of the CPU time that every training of a seed has reached, above 0 and up to 1.
        seconds: that CPU time, the median over the seeds.
        ratio: of the geometric means over the seeds, the first one's to the other's.
        low: the lower end of its interval at this time, 95 per cent, Student's t on the log ratios of paired seeds.
        high: the upper end.
        n: pairs of seeds.
    """

    share: float
    seconds: float
    ratio: float
    low: float
    high: float
    n: int


def ratios(
    rows: Any, subject: str, rival: str, *, split: str = "train", kind: str = "optimizer", points: int = POINTS
) -> list[Point]:
    """The ratio of losses at equal shares of the common CPU time.

    Args:
        rows: a DataFrame of training, each optimizer at one rate, without seeds that tune.
        subject: whose loss is above.
        rival: whose is below.
        split: "train", where the loss of a time is the mean of the steps of the tenth of the way before it, or "test",
            where it is that of the last evaluation.
        kind: the column that names them.
        points: how many times.

    Returns:
        Of each time at which two seeds at least have both losses.
    """
    found: list[Point] = []
    for share in np.arange(1, points + 1) / points:
        logs, seconds = list[float](), list[float]()
        for _, pair in rows.groupby("seed"):
            mine, theirs = (pair[pair[kind] == name] for name in (subject, rival))
            end = min(one["cpu_seconds"].max() for one in (mine, theirs)) if len(mine) and len(theirs) else math.nan
            ratio = _at(mine, end, share, split) / _at(theirs, end, share, split)
            if math.isfinite(ratio) and ratio > 0:
                logs.append(math.log(ratio))
                seconds.append(share * end)
        if len(logs) > 1:
            mean, low, high = interval(logs, alpha=ALPHA / 2)
            ends = (math.exp(min(x, 700.0)) for x in (mean, low, high))
            found.append(Point(float(share), float(np.median(seconds)), *ends, n=len(logs)))
    return found


def _at(rows: Any, end: float, share: float, split: str) -> float:
    """The loss of a training at a share of the time `end`; NaN where there is none."""
    until = rows[(rows["split"] == split) & (rows["cpu_seconds"] <= share * end)].sort_values("step")
    if not len(until):
        return math.nan
    near = until[until["cpu_seconds"] >= (share - 0.1) * end] if split == "train" else until.tail(1)
    return float((near if len(near) else until.tail(1))["loss"].mean())


def ahead(points: Sequence[Point]) -> str:
    """In words from when to when the subject is ahead for sure, or behind."""
    words: list[str] = []
    for name, yes in (("ahead", [p.high < 1 for p in points]), ("behind", [p.low > 1 for p in points])):
        words += [f"{name} at {sum(yes)} of {len(points)} times"] if any(yes) else []
    return "; ".join(words) or f"neither ahead nor behind for sure at any of {len(points)} times"
