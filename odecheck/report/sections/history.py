"""Benchmarks over commits, as asv has kept them."""

from __future__ import annotations

from typing import Any

import numpy as np

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Caption, Chart, Column, Panel, Section, Series, Table, clip

PLACE = 110

MOST = 8
COLUMNS = (
    Column("benchmark", "benchmark"),
    Column("machine", "machine"),
    Column("kind", "kind"),
    Column("unit", "unit"),
    Column("commit", "commit"),
    Column("value", "value", "number"),
    Column("spread", "±", "number"),
)


def section(found: Found) -> Section | None:
    rows = found.tables.get("history")
    if rows is None or not np.isfinite(rows["value"]).any():
        return None
    rows = rows[np.isfinite(rows["value"])]
    panels = tuple(
        panel
        for (kind, machine), mine in rows.groupby(["kind", "machine"], sort=False)
        if (panel := _panel(f"{kind} on {clip(machine)}" if machine else kind, mine)) is not None
    )
    caption = Caption(
        f"Each benchmark over its value at the first commit that has one; of each kind the {MOST} that changed most. "
        "Lower is better unless the unit says otherwise. Counts do not vary by themselves.",
        "ratio to the first commit",
        f"{len(rows):,} values of {rows['benchmark'].nunique():,} benchmarks at {rows['commit'].nunique():,} commits",
        "odecheck bench RANGE, then odecheck report .asv/results",
    )
    blocks = (Chart("history", "Over commits", caption, panels),) if panels else ()
    table = Table("history-rows", "Every value", COLUMNS, rows)
    return Section("history", "Benchmark history", "odecheck regressions says which change is one.", (*blocks, table))


def _panel(title: str, rows: Any) -> Panel | None:
    """The series that moved most. None where nothing has a second commit."""
    order = list(dict.fromkeys(rows.sort_values("position")["commit"]))
    series = []
    for name, mine in rows.sort_values("position").groupby("benchmark", sort=False):
        first = float(mine["value"].iloc[0])
        if len(mine) > 1 and first > 0:
            ratio = mine["value"] / first
            series.append((float(np.abs(np.log(ratio.clip(lower=1e-300))).max()), clip(name), mine["commit"], ratio))
    if not series:
        return None
    chosen = sorted(series, key=lambda entry: -entry[0])[:MOST]
    ticks = Series("as at first", [c[:8] for c in order], [1.0] * len(order), marks=False)  # keeps commits in order
    lines = (Series(name, [c[:8] for c in commits], [*ratio]) for _, name, commits, ratio in chosen)
    wide = chosen[0][0] > np.log(3)
    return Panel(title, Axis("commit"), Axis("ratio", log=bool(wide)), (ticks, *lines))
