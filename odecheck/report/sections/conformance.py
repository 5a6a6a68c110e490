"""Which library keeps which promise: the worst of the problems of every library, engine and claim."""

from __future__ import annotations

from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Caption, Column, Grid, GridPanel, Section, Table, clip

PLACE = 50

# from the harmless to the grave: a cell has the colour of its gravest row
LEVELS = (
    ("not applicable", "#f2f2f2"),
    ("unsupported", "#d9d9d9"),
    ("holds", "#0072b2"),
    ("inconclusive", "#f0e442"),
    ("refuted", "#d55e00"),
    ("error", "#000000"),
)
# verdicts of rows that lead to a story
TOLD = ("refuted", "inconclusive", "error")
COLUMNS = (
    Column("record", "story", "record"),
    Column("row", "row"),
    Column("verdict", "verdict", "verdict"),
    Column("ok", "as expected"),
    Column("library", "library"),
    Column("version", "version"),
    Column("engine", "engine"),
    Column("method", "method"),
    Column("claim", "claim"),
    Column("problem", "problem"),
    Column("error", "error", "number"),
    Column("error_over_tolerance", "error / tolerance", "number"),
    Column("score", "gap / bar", "number"),
    Column("resolved", "would have seen", "number"),
    Column("nfe", "NFE", "count"),
    Column("seconds", "seconds", "number"),
    Column("expected_failure", "known to fail"),
    Column("message", "message"),
)


def section(found: Found) -> Section | None:
    rows = found.tables.get("conformance")
    if rows is None or rows.empty:
        return None
    judged = rows[rows["claim"] != ""]  # a row of a whole version, that it could not be installed, has no claim
    caption = Caption(
        "One row for each library, version and engine, one column for each claim. Colour: the gravest verdict among "
        "methods and problems; the text: how many of the judged rows hold.",
        "rows that hold of rows that were judged",
        f"{len(judged):,} rows",
        "odecheck conformance, then odecheck report RUN",
    )
    lead = "Every library was asked the same questions. What it does not offer is unsupported, and no fault."
    told = rows.assign(record=rows["record"].where(rows["verdict"].isin(TOLD), ""))
    told = told.sort_values("verdict", key=lambda v: v.map(dict(zip(TOLD, range(3), strict=True))), kind="stable")
    table = Table("conformance-rows", "Every row", COLUMNS, told)
    return Section("conformance", "Libraries", lead, (_matrix(judged, caption), table))


def _matrix(rows: Any, caption: Caption) -> Grid:
    names = [
        " ".join(part for part in key if part)
        for key in zip(rows["library"], rows["version"], rows["engine"], strict=False)
    ]
    known = [name for name, _ in LEVELS]
    cells: dict[tuple[str, str], list[int]] = {}
    for name, claim, verdict in zip(names, rows["claim"], rows["verdict"], strict=False):
        level = known.index(verdict) if verdict in known else known.index("error")
        cells.setdefault((name, claim), []).append(level)
    down, across = list(dict.fromkeys(names)), list(dict.fromkeys(rows["claim"]))
    worst = [[max(cells[n, c]) if (n, c) in cells else None for c in across] for n in down]
    notes = [[_note(cells.get((n, c), []), known.index("holds")) for c in across] for n in down]
    labels, panel = [clip(n) for n in down], GridPanel("", worst, notes)
    return Grid("conformance", "Conformance", caption, labels, [clip(c) for c in across], LEVELS, (panel,))


def _note(levels: list[int], holds: int) -> str:
    judged = [level for level in levels if level >= holds]
    return f"{judged.count(holds)}/{len(judged)}" if judged else ""
