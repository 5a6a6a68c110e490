"""Every record, and any quantity of them against any."""

from __future__ import annotations

from odecheck.report.reader import Found
from odecheck.report.text import Caption, Column, Explorer, Section, Table

PLACE = 130

COLUMNS = (
    Column("record", "story", "record"),
    Column("outcome", "outcome", "verdict"),
    Column("verdict", "verdict"),
    Column("run", "run"),
    Column("claim", "claim"),
    Column("problem", "problem"),
    Column("subject", "subject"),
    Column("observed", "observed", "number"),
    Column("expected", "expected", "number"),
    Column("gap", "gap", "number"),
    Column("bar", "bar", "number"),
    Column("score", "gap / bar", "number"),
    Column("resolved", "would have seen", "number"),
    Column("resolution", "asked for", "number"),
    Column("looked_at", "looked at, in time", "number"),
    Column("nfe", "NFE", "count"),
    Column("solves", "solves", "count"),
    Column("seconds", "seconds", "number"),
    Column("message", "message"),
    Column("decides", "to decide it"),
)
QUANTITIES = ("gap", "bar", "score", "resolved", "nfe", "solves", "seconds")
BY = ("outcome", "claim", "problem", "subject", "run")


def section(found: Found) -> Section | None:
    """Every record, with a choice of what is drawn."""
    if not found.runs or found.records.empty:
        return None
    rows = found.records.copy()
    rows["gap"] = (rows["observed"] - rows["expected"]).abs()
    columns = tuple(c for c in COLUMNS if c.name != "run" or len(found.runs) > 1)
    table = Table("records", "Every record", columns, rows)
    by_name = {column.name: column for column in COLUMNS}
    caption = Caption(
        "Choose what is drawn against what. A point is one verdict; the hover text says which.",
        "NFE: evaluations of the field over all rungs; seconds of wall-clock time; gap and bar in those of the "
        "compared value",
        f"{len(rows):,} records, of which those with both quantities above zero are drawn",
        "odecheck verify, then odecheck report RUN",
    )
    explorer = Explorer(
        "verdicts-explorer",
        "Verdicts: any quantity against any",
        caption,
        table,
        tuple(by_name[name] for name in QUANTITIES),
        tuple(by_name[n] for n in BY if n != "run" or len(found.runs) > 1),
        (),
        "",
        "nfe",
        "resolved",
        "outcome",
    )
    return Section("records", "All records", "Sort by a column's title, filter below it.", (table, explorer))
