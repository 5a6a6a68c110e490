"""What changed between commits: when, by how much, in which direction, how sure.

Counts are exact, so that any difference is a change. Errors are deterministic up to round-off: a change is 1 % and
more. Times, memory and numbers of other kinds, as asv takes them, one commit after the other, only advise: what else
the machine did is in them. Paired times (`pairs`) are the ones that decide, and thresholds of one's own.

What creeps is never a change from one commit to the next: 21 commits of +0.9 % each are +20 %. So the newest value is
compared with the best older level as well, and what the changes between them do not explain is a change of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Literal

from .results import Point, Series
from .thresholds import NONE, Thresholds

Direction = Literal["worse", "better", "failed", "mended", "missing"]
Confidence = Literal["exact", "paired", "advice", "your threshold"]
ERROR, ADVICE = 0.01, 0.10
# a level of what scatters is the median of so many neighbours: one lucky time is none
NEIGHBOURS = 3
STATES: dict[str, Direction] = {"failed": "failed", "time limit": "failed", "missing": "missing"}


@dataclass(frozen=True)
class Change:
    """One series between two neighbouring commits at which it was benchmarked.

    Attributes:
        series: the series' name.
        kind: count, error, time, memory or number.
        after: the last commit with the old value, which is `at`'s neighbour unless one between them has no value, or
            the change has crept in.
        at: the first commit with the new value.
        old: the value before, in the series' unit.
        new: the value from `at` on.
        ratio: new / old, NaN for a state.
        direction: worse, better, or the state that it has come into.
        confidence: exact and paired ones decide, and what a threshold of one's own is for; advice does not.
        detail: how sure, in words.
        crept: whether it came about in steps of which none counts.
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
    crept: bool = False

    @property
    def gates(self) -> bool:
        """Whether this sets the exit status."""
        return self.direction == "failed" or (self.direction == "worse" and self.confidence != "advice")


def changes(series: Iterable[Series], thresholds: Thresholds = NONE) -> list[Change]:
    """All changes of all series.

    Args:
        series: as `read_series` gives them.
        thresholds: one's own; what moves by more than its own counts, whatever it measures.

    Returns:
        The changes, in the order of the series, then of the commits, and of each series last what has crept in.
    """
    return [change for one in series for change in _of(one, thresholds.of(one.name))]


def exit_status(found: Iterable[Change], *, strict: bool = False) -> int:
    """The exit status of a command that lists changes.

    Args:
        found: the changes.
        strict: whether what is missing counts as well.

    Returns:
        1 when something became worse beyond doubt or fails, otherwise 0.
    """
    return int(any(change.gates or (strict and change.direction == "missing") for change in found))


def _of(series: Series, own: float | None) -> list[Change]:
    found: list[Change] = []
    for before, now in pairwise(series.points):
        if before.state != now.state:
            found += _state(series, before, now)
    measured = [point for point in series.points if point.state == "measured"]
    moved = [_change(series, old, new, own) for old, new in pairwise(measured) if _differs(series, old, new, own)]
    order = {point.commit: i for i, point in enumerate(series.points)}
    crept = _crept(series, measured, moved, own)
    return [*sorted([*found, *moved], key=lambda change: order[change.at]), *([crept] if crept else [])]


def _state(series: Series, before: Point, now: Point) -> list[Change]:
    direction = STATES.get(now.state)
    if now.state == "measured":
        direction = "mended" if STATES[before.state] == "failed" else None  # a benchmark that begins is no change
    if direction is None:
        return []
    detail = f"{before.state} → {now.state}" + (f": {now.message}" if now.message else "")
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


def _differs(series: Series, old: Point, new: Point, own: float | None) -> bool:
    if own is None and series.kind == "count":
        return old.value != new.value
    if not (old.value > 0 and new.value > 0):
        return old.value != new.value
    moved = abs(math.log(new.value / old.value))
    if own is not None:
        return moved > math.log1p(own)
    if series.kind == "error":
        return moved > math.log1p(ERROR)
    apart = abs(new.value - old.value) > sum(p.spread for p in (old, new) if math.isfinite(p.spread))
    return moved > math.log1p(ADVICE) and apart


def _crept(series: Series, measured: list[Point], moved: list[Change], own: float | None) -> Change | None:
    """The newest value beside the best older level, where the changes between the two do not explain it."""
    each = own == 0 or (own is None and series.kind == "count")  # then every change counts by itself: nothing creeps
    if each or len(measured) < 3 or not all(point.value > 0 for point in measured):
        return None
    levels = [_level(series, measured, i) for i in range(len(measured))]
    newest, older = levels[-1], levels[:-1]
    best = max(older) if series.higher else min(older)
    last = len(older) - 1 - older[::-1].index(best)
    then, now = (Point(measured[i].commit, "measured", levels[i], measured[i].spread) for i in (last, -1))
    change = _change(series, then, now, own)
    later = {point.commit for point in measured[last + 1 :]}
    known = math.prod(one.ratio for one in moved if one.at in later and one.direction == "worse")
    rest = Point(now.commit, "measured", newest / known, now.spread)
    if change.direction != "worse" or not _differs(series, then, rest, own):
        return None
    if _change(series, then, rest, own).direction != "worse":
        return None
    told = f"in {len(later)} small steps" + (f" beside changes of ×{known:.4g}" if known != 1 else "")
    return replace(change, detail="; ".join(part for part in (told, change.detail) if part), crept=True)


def _level(series: Series, measured: list[Point], i: int) -> float:
    if series.kind in ("count", "error"):
        return measured[i].value
    first = max(0, min(i - NEIGHBOURS // 2, len(measured) - NEIGHBOURS))
    return median(point.value for point in measured[first : first + NEIGHBOURS])


def _change(series: Series, old: Point, new: Point, own: float | None) -> Change:
    worse = new.value < old.value if series.higher else new.value > old.value
    exact = series.kind in ("count", "error")
    ratio = new.value / old.value if old.value else math.copysign(math.inf, new.value)
    detail = f"more than {own:.4g}" if own is not None else "" if exact else "measured at different times, not paired"
    return Change(
        series.name,
        series.kind,
        old.commit,
        new.commit,
        old.value,
        new.value,
        ratio,
        "worse" if worse else "better",
        "your threshold" if own is not None else "exact" if exact else "advice",
        detail,
    )


def in_words(change: Change, unit: str = "") -> str:
    """One line: what, when, by how much."""
    span = f"{change.after[:8]}..{change.at[:8]}"
    amount = change.detail if math.isnan(change.ratio) else f"{change.old:.6g} → {change.new:.6g} (×{change.ratio:.4g})"
    said = [] if change.confidence == "exact" else [change.confidence]
    said += [change.detail] if change.detail and not math.isnan(change.ratio) else []
    sure = f"  [{': '.join(said)}]" if said else ""
    return (
        f"{'crept' if change.crept else change.direction:8}{span}  {change.series}  {amount}{unit and ' ' + unit}{sure}"
    )


def worst_first(found: Sequence[Change]) -> list[Change]:
    """Those that gate first, then what became worse, then the rest."""
    rank = {"failed": 0, "worse": 1, "missing": 2, "mended": 3, "better": 4}
    return sorted(found, key=lambda change: (not change.gates, rank[change.direction]))
