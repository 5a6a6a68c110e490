"""Where a solver makes v negative or h blows up."""

from __future__ import annotations

from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Caption, Column, Grid, GridPanel, Section, Table, clip, shown

PLACE = 90

LEVELS = (
    ("none of these", "#e8f0f6"),
    ("v < 0 inside a step", "#f0e442"),
    ("v < 0 at an output", "#e69f00"),
    ("h beyond 100", "#56b4e9"),
    ("no result", "#7a1f00"),
)
COLUMNS = (
    Column("model", "model"),
    Column("inner", "force"),
    Column("solver", "solver"),
    Column("what", "pass"),
    Column("outcome", "worst outcome"),
    Column("failed", "no result", "count"),
    Column("runs", "runs", "count"),
    Column("smallest_v", "smallest v evaluated", "number"),
    Column("largest_h", "largest |h|", "number"),
    Column("message", "message"),
)


def section(found: Found) -> Section | None:
    rows = found.tables.get("stability")
    if rows is None or rows.empty:
        return None
    models = list(dict.fromkeys(zip(rows["model"], rows["inner"], strict=False)))
    solvers = list(dict.fromkeys(rows["solver"]))
    panels = tuple(_panel(what, rows[rows["what"] == what], models, solvers) for what in dict.fromkeys(rows["what"]))
    caption = Caption(
        "The worst of the runs of each cell. The text: runs without a result, or the smallest v at which the field "
        "was evaluated, where that is negative. Look for pale rows under “solution” that are dark under a gradient.",
        "those of v",
        f"{int(rows['runs'].fillna(0).sum()):,} runs in {len(rows):,} cells",
        "python -m odecheck.studies.stability reports",
    )
    labels = [clip(f"{model}, {inner}" if inner else model) for model, inner in models]
    grid = Grid("stability", "Stability", caption, labels, [clip(s) for s in solvers], LEVELS, panels)
    lead = (
        "The exact v of an AdamNODE is never negative, that of a solver's trial step may be: then the root of its "
        "denominator is not a number. Heavy balls gain speed for as long as the force pushes."
    )
    return Section("stability", "Stability map", lead, (grid, Table("stability-rows", "Every cell", COLUMNS, rows)))


def _panel(what: str, rows: Any, models: list[tuple[str, str]], solvers: list[str]) -> GridPanel:
    cells: list[list[int | None]] = [[None] * len(solvers) for _ in models]
    notes = [[""] * len(solvers) for _ in models]
    known = [name for name, _ in LEVELS]
    for row in rows.itertuples():
        at, column = models.index((row.model, row.inner)), solvers.index(row.solver)
        cells[at][column] = known.index(row.outcome) if row.outcome in known else None
        if row.failed > 0:
            notes[at][column] = f"{row.failed:.0f}/{row.runs:.0f}"
        elif row.smallest_v < 0:
            notes[at][column] = shown(row.smallest_v, "number")
    return GridPanel(what, cells, notes)
