"""What records mean to somebody who waits for green or red: outcomes, the exit status, one row for each claim."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from odecheck.record import Record

# the exit status of a run in which nothing failed and something is not decided
UNDECIDED = 3
Outcome = Literal[
    "passed", "refuted as stated", "failed", "inconclusive", "expected failure", "not applicable", "not asked"
]


def outcome(record: Record, *, strict: bool = False) -> Outcome:
    """What a record means to somebody who waits for green or red.

    Args:
        record: the record.
        strict: whether what is inconclusive has failed.

    Returns:
        One of seven words; "refuted as stated" is a sentence that is false when read literally, and was found to be.
    """
    if record.verdict == "not asked":
        return "not asked"
    if record.verdict in ("not applicable", "unsupported"):
        return "not applicable"
    if record.ok:
        if record.expected_failure:
            return "expected failure"
        return "refuted as stated" if record.verdict == "refuted" else "passed"
    if record.verdict == "inconclusive" and not strict:
        return "inconclusive"
    return "failed"


def exit_status(records: Sequence[Record], *, strict: bool = False) -> int:
    """What a command that judges exits with.

    Args:
        records: all that were judged.
        strict: whether what is inconclusive has failed.

    Returns:
        1 when a record is refuted, an error, or holds although it is known to fail; 2 where nothing else has failed
        than subjects that were refused before any claim: bad input; otherwise UNDECIDED when one is inconclusive and
        was not expected to be, or none was judged and some were not asked; otherwise 0.
    """
    from odecheck.record import is_refused

    outcomes = {outcome(record, strict=strict) for record in records}
    failed = [record for record in records if outcome(record, strict=strict) == "failed"]
    if failed:
        return 2 if all(map(is_refused, failed)) else 1
    nothing = "not asked" in outcomes and outcomes <= {"not asked", "not applicable"}
    return UNDECIDED if nothing or "inconclusive" in outcomes else 0


def identifier(record: Record) -> str:
    """Six characters by which `odecheck show` finds a record: the same for the same case in every run."""
    return hashlib.sha256("\0".join(record.key).encode()).hexdigest()[:6]


@dataclass(frozen=True)
class Headline:
    """What came out, to be read first and last.

    Attributes:
        word: in capitals: AS EXPECTED, REFUTED, ERROR, REFUSED, UNDECIDED or NOTHING JUDGED.
        text: a sentence with the counts.
        style: of rich: its colour.
    """

    word: str
    text: str
    style: str


@dataclass(frozen=True)
class ClaimRow:
    """One claim over all subjects and problems.

    Attributes:
        claim: its id.
        counts: of each outcome the records.
        resolved: the largest relative defect that a "holds" may hide; NaN where nothing holds.
        looked_at: the widest feature that may have been missed, in time; NaN where nothing was judged.
        nfe: evaluations of the field, of all records.
        seconds: of the wall, of all records.
    """

    claim: str
    counts: dict[str, int]
    resolved: float
    looked_at: float
    nfe: int
    seconds: float

    @property
    def failed(self) -> int:
        """How many records failed."""
        return self.counts.get("failed", 0)


def by_claim(records: Sequence[Record]) -> list[ClaimRow]:
    """One row for each claim, in the order of the records."""
    rows: list[ClaimRow] = []
    for claim in dict.fromkeys(record.claim for record in records):
        mine = [record for record in records if record.claim == claim]
        counts: dict[str, int] = {}
        for record in mine:
            counts[outcome(record)] = counts.get(outcome(record), 0) + 1
        seen = [record.resolved for record in mine if outcome(record) == "passed" and record.verdict == "holds"]
        resolved = max(seen, default=math.nan)
        looked = max((r.looked_at for r in mine if not math.isnan(r.looked_at)), default=math.nan)
        rows.append(ClaimRow(claim, counts, resolved, looked, sum(r.nfe for r in mine), sum(r.seconds for r in mine)))
    return rows


COLUMNS: tuple[tuple[str, Outcome, str], ...] = (
    ("holds", "passed", "green"),
    ("false as read", "refuted as stated", "green"),
    ("failed", "failed", "bold red"),
    ("inconclusive", "inconclusive", "yellow"),
    ("known failure", "expected failure", "magenta"),
    ("not applicable", "not applicable", "dim"),
)
NOT_ASKED: tuple[str, Outcome, str] = ("not asked", "not asked", "dim")


def columns_of(records: Sequence[Record]) -> tuple[tuple[str, Outcome, str], ...]:
    """Title, outcome and style of each column of counts: of what was not asked only where there is such a record."""
    return (*COLUMNS, NOT_ASKED) if any(outcome(record) == "not asked" for record in records) else COLUMNS
