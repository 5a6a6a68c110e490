"""The ledger: what the papers claim, and what came out on drawn problems."""

from __future__ import annotations

from dataclasses import asdict

from odecheck.report.reader import Found
from odecheck.report.text import Column, Section, Table, tidy

PLACE = 30

COLUMNS = (
    Column("claim", "claim"),
    Column("statement", "statement"),
    Column("verdict", "verdict", "verdict"),
    Column("condition", "true where"),
    Column("problems", "problems", "count"),
    Column("held", "hold", "count"),
    Column("refuted", "refuted", "count"),
    Column("resolved", "could hide", "number"),
    Column("counter_example", "counter-example"),
    Column("note", "note"),
    Column("source", "source"),
)


def section(found: Found) -> Section | None:
    kept = found.tables.get("ledger", ())
    if not kept:
        return None
    import numpy as np
    import pandas as pd

    rows = pd.DataFrame([{k: tidy(v) if isinstance(v, str) else v for k, v in asdict(r).items()} for r in kept])
    for column in COLUMNS:
        if column.kind in ("number", "count"):
            rows[column.name] = np.asarray(pd.to_numeric(rows[column.name], errors="coerce"), dtype=float)
    verdicts = rows["verdict"].value_counts()
    counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
    lead = (
        f"{len(rows)} statements: {counts}. Every verdict is worked out on drawn problems; a refuted statement is one "
        "that was read literally. Made again by: odecheck claims --verify --write reports"
    )
    return Section("ledger", "What the papers claim", lead, (Table("ledger", "The ledger", COLUMNS, rows),))
