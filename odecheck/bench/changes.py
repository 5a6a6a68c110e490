"""What changed between commits: when, by how much, in which direction, how sure.

Counts are exact, so that any difference is a change. Errors are deterministic up to round-off: a change is 1 % and
more. Times and memory as asv takes them, one commit after the other, only advise: what else the machine did is in
them. Paired times (`pairs`) are the ones that decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .results import Point, Series

Direction = Literal["worse", "better", "failed", "mended", "missing"]
Confidence = Literal["exact", "paired", "advice"]
ERROR, ADVICE = 0.01, 0.10


@dataclass(frozen=True)
class Change:
    """One series between two neighbouring commits at which it was benchmarked.

    at: the first commit with the new value; after: the last with the old one, which is `at`'s neighbour unless a
    commit between them has no value. ratio: new / old, NaN for a state. detail: how sure, in words.
    """

    series: str
    kind: str
    after: str
    at: str
    old: float
    new: float
    ratio: float
    direction: Direction
    confidence: Confidence
    detail: str = ""

    @property
    def gates(self) -> bool:
        """Whether this sets the exit status."""
        return self.direction == "failed" or (self.direction == "worse" and self.confidence != "advice")


def changes(series: Iterable[Series]) -> list[Change]:
    """All changes of all series, in the order of the series, then of the commits."""
    return [change for one in series for change in _of(one)]


def exit_status(found: Iterable[Change], *, strict: bool = False) -> int:
    """1 when something became worse beyond doubt or fails; with strict also when something is missing."""
    return int(any(change.gates or (strict and change.direction == "missing") for change in found))


def _of(series: Series) -> list[Change]:
    found: list[Change] = []
    for before, now in pairwise(series.points):
        if before.state != now.state:
            found += _state(series, before, now)
    measured = [point for point in series.points if point.state == "measured"]
    for old, new in pairwise(measured):
        if _differs(series, old, new):
            found.append(_change(series, old, new))
    order = {point.commit: i for i, point in enumerate(series.points)}
    return sorted(found, key=lambda change: order[change.at])


def _state(series: Series, before: Point, now: Point) -> list[Change]:
    direction: Direction | None = {"failed": "failed", "missing": "missing"}.get(now.state)  # type: ignore[assignment]
    if now.state == "measured":
        direction = "mended" if before.state == "failed" else None  # a benchmark that begins is no change
    if direction is None or (before.state == "missing" and now.state == "missing"):
        return []
    detail = f"{before.state} → {now.state}"
    change = Change(
        series.name,
        series.kind,
        before.commit,
        now.commit,
        before.value,
        now.value,
        math.nan,
        direction,
        "exact",
        detail,
    )
    return [change]


def _differs(series: Series, old: Point, new: Point) -> bool:
    if series.kind == "count":
        return old.value != new.value
    if not (old.value > 0 and new.value > 0):
        return old.value != new.value
    moved = abs(math.log(new.value / old.value))
    if series.kind == "error":
        return moved > math.log1p(ERROR)
    apart = abs(new.value - old.value) > sum(p.spread for p in (old, new) if math.isfinite(p.spread))
    return moved > math.log1p(ADVICE) and apart


def _change(series: Series, old: Point, new: Point) -> Change:
    worse = new.value < old.value if series.higher else new.value > old.value
    exact = series.kind in ("count", "error")
    ratio = new.value / old.value if old.value else math.copysign(math.inf, new.value)
    detail = "" if exact else "measured at different times, not paired"
    return Change(
        series.name,
        series.kind,
        old.commit,
        new.commit,
        old.value,
        new.value,
        ratio,
        "worse" if worse else "better",
        "exact" if exact else "advice",
        detail,
    )


def in_words(change: Change, unit: str = "") -> str:
    """One line: what, when, by how much."""
    span = f"{change.after[:8]}..{change.at[:8]}"
    amount = change.detail if math.isnan(change.ratio) else f"{change.old:.6g} → {change.new:.6g} (×{change.ratio:.4g})"
    sure = "" if change.confidence == "exact" else f"  [{change.confidence}: {change.detail}]"
    return f"{change.direction:8}{span}  {change.series}  {amount}{unit and ' ' + unit}{sure}"


def worst_first(found: Sequence[Change]) -> list[Change]:
    """Those that gate first, then what became worse, then the rest."""
    rank = {"failed": 0, "worse": 1, "missing": 2, "mended": 3, "better": 4}
    return sorted(found, key=lambda change: (not change.gates, rank[change.direction]))
