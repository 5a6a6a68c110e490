"""Claim by claim: how many hold, what each could have seen, and what its bars are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from odecheck.records.summary import by_claim
from odecheck.report.reader import Found
from odecheck.report.tables.records import WORDS
from odecheck.report.text import Axis, Caption, Chart, Column, Grid, GridPanel, Panel, Section, Series, Table, clip

PLACE = 20

COLUMNS = (
    Column("claim", "claim"),
    Column("statement", "statement"),
    *(Column(kind, title, "count") for kind, title in WORDS.items() if kind != "not applicable"),
    Column("resolved", "would have seen", "number"),
    Column("looked_at", "looked at, in time", "number"),
    Column("nfe", "NFE", "count"),
    Column("seconds", "seconds", "number"),
)
SHARES = (("below 1 %", "#eef3f7"), ("1 to 10 %", "#a6cbe3"), ("10 to 50 %", "#56a0d3"), ("above 50 %", "#0b4f87"))
MOST_OF_A_CLAIM = 40
AGAIN = "odecheck verify, then odecheck report RUN"


def section(found: Found) -> Section | None:
    """Claims by verdict, how far the margins are from their bars, and what could hide."""
    records = [record for run in found.runs for record in run.records]
    rows = [row for row in by_claim(records) if set(row.counts) - {"not applicable"}]
    if not rows:
        return None
    pd: Any = import_module("pandas")
    statements = {r.claim: r.message for r in records if r.verdict in ("holds", "refuted", "inconclusive")}
    table: Any = pd.DataFrame(
        [
            {
                **{kind: float(row.counts[kind]) for kind in row.counts},
                "claim": row.claim,
                "nfe": row.nfe,
                "statement": clip(statements.get(row.claim, ""), 200),
                "resolved": row.resolved,
                "looked_at": row.looked_at,
                "seconds": row.seconds,
            }
            for row in rows
        ]
    ).reindex(columns=[c.name for c in COLUMNS])
    silent = len({r.claim for r in records}) - len(rows)
    note = f"{silent} more claims have no case among these subjects and problems." if silent else ""
    lead = (
        "Would have seen: the smallest relative defect that each that holds would have refuted for certain. "
        "Looked at: any feature on a trajectory that is wider than this, in time, was certainly looked at."
    )
    columns = tuple(c for c in COLUMNS if c.name in ("passed", "failed") or table[c.name].notna().any())
    blocks = [Table("claims", "The evidence for each claim", columns, table, note)]
    judged = found.records[found.records["verdict"].isin(["holds", "refuted", "inconclusive"])]
    if judged.empty:
        return Section("claims", "Claim by claim", lead, tuple(blocks))
    return Section("claims", "Claim by claim", lead, (*blocks, margins(judged), *terms(judged)))


def margins(judged: Any) -> Chart:
    """How far every verdict is from turning into another one."""
    kinds = list(dict.fromkeys(judged["outcome"]))

    def series(column: str) -> tuple[Series, ...]:
        made: list[Any] = []
        for kind in kinds:
            mine = thinned(judged[(judged["outcome"] == kind) & (judged[column] > 0)], column)
            hover = [f"{clip(s)}; {clip(p)}" for s, p in zip(mine["subject"], mine["problem"], strict=False)]
            made.append(Series(kind, [*mine["claim"]], [*mine[column]], line=False, hover=hover))
        return tuple(made)

    asked = judged.drop_duplicates(["claim", "resolution"])
    limit = Series("asked for", [*asked["claim"]], [*asked["resolution"]], line=False)
    panels = (
        Panel(
            "gap / bar: refuted above 1",
            Axis("claim"),
            Axis("gap / bar", log=True),
            series("score"),
            (("y", 1.0, "refuted above"),),
        ),
        Panel(
            "smallest relative defect that would have been refuted",
            Axis("claim"),
            Axis("relative defect", log=True),
            (*series("resolved"), limit),
        ),
    )
    caption = Caption(
        "Left: how much of its bar each gap between observed and expected fills. Right: the defect each could have "
        "seen; a verdict above what was asked for is inconclusive. Gaps of exactly zero are not drawn.",
        "none, both are ratios",
        f"{len(judged):,} verdicts, of which at most {MOST_OF_A_CLAIM} of each claim and outcome are drawn, evenly "
        "chosen from the smallest to the largest",
        AGAIN,
    )
    return Chart("margins", "How far the verdicts are from turning", caption, panels)


def thinned(rows: Any, column: str) -> Any:
    """At most MOST_OF_A_CLAIM rows of each claim, evenly chosen from the smallest to the largest, both kept."""
    parts: list[Any] = []
    for _, mine in rows.sort_values(column).groupby("claim", sort=False):
        step = max(1, math.ceil(len(mine) / MOST_OF_A_CLAIM))
        parts.append(mine if step == 1 else mine.iloc[[*range(0, len(mine) - 1, step), len(mine) - 1]])
    return rows if not parts else rows.loc[[i for part in parts for i in part.index]].sort_index()


def terms(judged: Any) -> tuple[Grid, ...]:
    """The named terms of the bars, as shares of the whole bar at the worst component."""
    shares: dict[str, dict[str, list[float]]] = {}
    counted = 0
    for claim, budget in zip(judged["claim"], judged["budget"], strict=False):
        sizes: Mapping[str, float] = json.loads(budget)
        whole = sum(sizes.values())
        if not 0 < whole < float("inf"):
            continue
        counted += 1
        for name, size in sizes.items():
            shares.setdefault(claim, {}).setdefault(name, []).append(size / whole)
    if not counted:
        return ()
    import numpy as np

    names = list(dict.fromkeys(name for mine in shares.values() for name in mine))
    # a term that a verdict's bar does not have is no share of it; medians are over those that have it
    medians = [[float(np.median(mine[name])) if name in mine else None for name in names] for mine in shares.values()]
    cells = [[None if m is None else sum(m >= edge for edge in (0.01, 0.1, 0.5)) for m in row] for row in medians]
    notes = [["" if m is None else f"{100 * m:.0f} %" for m in row] for row in medians]
    caption = Caption(
        "Which term of the bar decides what a claim can see: a row dark under “truncation” is limited by the "
        "subject's tolerance, under “spread” by the reference. Median over the verdicts that have the term.",
        "share of the whole bar at the worst component",
        f"{counted:,} bars",
        AGAIN,
    )
    panel = GridPanel("", cells, notes)
    return (
        Grid("terms", "What the bars are made of", caption, list(shares), [clip(n) for n in names], SHARES, (panel,)),
    )
