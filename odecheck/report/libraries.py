"""What each solver library keeps of what was asked of it, by version and family, and its worst defect in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .text import clip, slug

JUDGED = ("holds", "refuted", "inconclusive", "error")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """Rows by what came out; what is undecided speaks neither for a library nor against it.

    Attributes:
        holding: rows that hold.
        refuted: rows that are refuted, or an error.
        undecided: rows that are inconclusive.
    """

    holding: int
    refuted: int
    undecided: int

    @classmethod
    def of(cls, verdicts: Sequence[str]) -> Counts:
        """Of the verdicts of rows that were judged."""
        return cls(
            verdicts.count("holds"), verdicts.count("refuted") + verdicts.count("error"), verdicts.count("inconclusive")
        )

    @property
    def share(self) -> float:
        """The share that holds of what is decided; 0 where nothing is."""
        return self.holding / max(1, self.holding + self.refuted)

    def __str__(self) -> str:
        parts = ((self.holding, "✓"), (self.refuted, "✗"), (self.undecided, "?"))
        return " ".join(f"{n}\N{NO-BREAK SPACE}{sign}" for n, sign in parts if n) or "–"


@dataclass(frozen=True)
class Standing:
    """A library, as its newest version does.

    Attributes:
        name: of the library.
        place: the anchor of what is told of it.
        versions: those that were asked, the newest first.
        rows: those that were judged, of all versions.
    """

    name: str
    place: str
    versions: tuple[str, ...]
    rows: Sequence[Row]

    def of(self, version: str, claim: str = "", family: str = "") -> list[Row]:
        """The rows of a version, of one claim or of one family where that is given."""
        return [
            row
            for row in self.rows
            if row["version"] == version
            and (not claim or row["claim"] == claim)
            and (not family or family_of(row) == family)
        ]

    def counts(self, version: str, claim: str = "", family: str = "") -> Counts:
        """How the rows of a version came out, of one claim or of one family where that is given."""
        return Counts.of([row["verdict"] for row in self.of(version, claim, family)])

    @property
    def newest(self) -> str:
        """The newest version."""
        return self.versions[0]

    def worst(self) -> Row | None:
        """The row of the newest version that is furthest off in units of its bar; None where all hold or are unsure."""
        return gravest(self.of(self.newest))


def standings(rows: Any) -> list[Standing]:
    """The libraries of a table of conformance, the one that keeps most first.

    Args:
        rows: a frame with the columns of the table.

    Returns:
        One for each library, by the share of the rows of its newest version that hold of those that are decided; of
        two that keep as much, the one of which more rows hold comes first.
    """
    known = cast("list[dict[str, Any]]", rows.to_dict("records"))
    judged = [row for row in known if row["claim"] and row["verdict"] in JUDGED]
    by_name: dict[str, list[Row]] = {}
    for row in judged:
        by_name.setdefault(row["library"], []).append(row)
    found: list[Standing] = []
    for number, (name, mine) in enumerate(by_name.items()):
        versions = tuple(sorted({row["version"] for row in mine}, key=_of_version, reverse=True))
        found.append(Standing(name, f"library-{slug(number, name)}", versions, mine))
    return sorted(found, key=_rank)


def _rank(one: Standing) -> tuple[float, int, str]:
    counts = one.counts(one.newest)
    return -counts.share, -counts.holding, one.name


def gravest(rows: Sequence[Row]) -> Row | None:
    """Of rows that are refuted the one furthest off, in units of its bar; without any, the first that is an error."""
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    if refuted:
        return max(refuted, key=lambda row: -1.0 if math.isnan(row["score"]) else row["score"])
    return next((row for row in rows if row["verdict"] == "error"), None)


def family_of(row: Row) -> str:
    """The beginning of a claim's id."""
    return clip(str(row["claim"]).partition("-")[0], 12)


def in_words(row: Row | None, titles: Mapping[str, str]) -> str:
    """A defect, for people: the claim, why it is known to fail or what the claim is about, and how far off it is.

    Args:
        row: of a table of conformance.
        titles: of claims, by id.
    """
    if row is None:
        return ""
    lines = str(row["expected_failure"] or titles.get(row["claim"]) or row["message"]).strip().splitlines()
    off = "" if not math.isfinite(row["score"]) else f" ({row['score']:.2g} times its bar)"
    return f"{clip(str(row['claim']), 20)}: {clip(lines[0] if lines else str(row['verdict']), 160)}{off}"


def _of_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text))
