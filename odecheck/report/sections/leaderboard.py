"""The libraries side by side: how much of what was asked each keeps, by family, and its worst defect in words."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from odecheck.claim import FAMILIES
from odecheck.claims.find import by_id
from odecheck.report.libraries import Standing, family_of, in_words, standings
from odecheck.report.reader import Found
from odecheck.report.text import Column, Section, Table

PLACE = 45

# families that have a column of their own; of more than that nobody sees the table
MOST_FAMILIES = 10


def section(found: Found) -> Section | None:
    """The libraries, ranked by how much of what was decided holds in their newest version."""
    rows = found.tables.get("conformance")
    ranked = [] if rows is None or rows.empty else standings(rows)
    if not ranked:
        return None
    pd: Any = import_module("pandas")
    titles = {id: claim.title for id, claim in by_id().items()}
    families = _families(ranked)
    frame = pd.DataFrame([_row(place, one, families, titles) for place, one in enumerate(ranked, start=1)])
    columns = (
        Column("place", "", "count"),
        Column("library", "library"),
        Column("version", "version"),
        Column("holds", "holds"),
        *(Column(f"of {family}", family) for family in families),
        Column("worst", "worst defect"),
        Column("details", "details", "place"),
    )
    explained = "; ".join(f"{family}: {FAMILIES[family].title}" for family in families if family in FAMILIES)
    note = (
        "Of each library the newest version that was asked. A row is one claim of one method and engine on one "
        "problem: ✓ it holds, ✗ it is refuted or an error, ? it is not decided. What a library does not offer is "
        f"not counted. {explained}."
    )
    lead = "Ranked by the share of the decided rows that hold. Details: every claim, by version, with its scripts."
    return Section("leaderboard", "Libraries, ranked", lead, (Table("ranking", "Ranking", columns, frame, note),))


def _families(ranked: list[Standing]) -> list[str]:
    """The families that were judged, in the order in which claims are read."""
    found = dict.fromkeys(family_of(row) for one in ranked for row in one.rows)
    known = [family for family in FAMILIES if family in found]
    return [*known, *(family for family in found if family not in known)][:MOST_FAMILIES]


def _row(place: int, one: Standing, families: list[str], titles: dict[str, str]) -> dict[str, Any]:
    counts = one.counts(one.newest)
    decided = counts.holding + counts.refuted
    return {
        "place": float(place),
        "library": one.name,
        "version": one.newest,
        "holds": f"{counts.share:.0%} of {decided:,}" if decided else "–",
        **{f"of {family}": str(one.counts(one.newest, family=family)) for family in families},
        "worst": in_words(one.worst(), titles) or "–",
        "details": one.place,
    }
