"""Where the error of a Kronecker approximation comes from."""

from __future__ import annotations

from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Caption, Chart, Panel, Section, Series

PLACE = 100

PARTS = {"total": "whole error", "time": "of time, sample by sample", "samples": "of pairing the samples"}


def section(found: Found) -> Section | None:
    rows = found.tables.get("kronecker_split")
    if rows is None or rows.empty:
        return None
    panels = tuple(
        _panel(f"{layer}, {count:.0f} sample{'s' * (count != 1)}", mine)
        for (count, layer), mine in rows.groupby(["count", "layer"], sort=False)
    )
    caption = Caption(
        "A ⊗ B against the exact block of a layer, over the length of the solve. With one sample all of the error is "
        "that of time and falls with its square; with several, what pairing them costs need not fall with it.",
        "Frobenius norm relative to the exact block; T − t0 in the model's own time",
        f"{len(rows):,} blocks",
        "python -m odecheck.studies.kronecker_split reports",
    )
    lead = "A curvature block of a layer that a solve calls many times is approximated by a product of two factors."
    return Section("kronecker", "Kronecker error", lead, (Chart("kronecker-split", "By source", caption, panels),))


def _panel(title: str, rows: Any) -> Panel:
    mine = rows.sort_values("horizon")
    series = tuple(Series(name, [*mine["horizon"]], [*mine[part]]) for part, name in PARTS.items())
    return Panel(title, Axis("T − t0", log=True), Axis("relative error", log=True), series)
