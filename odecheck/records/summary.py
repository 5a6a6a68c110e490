"""What many records say together: outcome, exit status, one row for each claim, and the table of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from odecheck.foreign import for_terminal

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
        was not expected to be; otherwise 0.
    """
    from odecheck.record import is_refused

    outcomes = {outcome(record, strict=strict) for record in records}
    failed = [record for record in records if outcome(record, strict=strict) == "failed"]
    if failed:
        return 2 if all(map(is_refused, failed)) else 1
    return UNDECIDED if "inconclusive" in outcomes else 0


def identifier(record: Record) -> str:
    """Six characters by which `odecheck show` finds a record: the same for the same case in every run."""
    return hashlib.sha256("\0".join(record.key).encode()).hexdigest()[:6]


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


def table(records: Sequence[Record]) -> Any:
    """A rich table: claims, verdicts, what each could have seen, cost."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("claim", no_wrap=True)
    columns = columns_of(records)
    for title, _, _ in columns:
        made.add_column(title, justify="right")
    for title in ("would have seen", "NFE", "seconds"):
        made.add_column(title, justify="right")
    rows = by_claim(records)
    silent = [row.claim for row in rows if set(row.counts) <= {"not applicable"}]
    for row in rows:
        if row.claim in silent:
            continue
        cells = [Text(str(row.counts.get(kind, "")), style=style) for _, kind, style in columns]
        seen = "" if math.isnan(row.resolved) else f"{row.resolved:.1e}"
        style = "bold red" if row.failed else ""
        made.add_row(Text(for_terminal(row.claim), style=style), *cells, seen, f"{row.nfe:,}", f"{row.seconds:.1f}")
    told = [_looked_at(rows)] + ([for_terminal(f"No case for: {', '.join(silent)}.")] if silent else [])
    made.caption = Text("\n".join(filter(None, told)))
    made.caption_justify = "left"
    return made


def _looked_at(rows: Sequence[ClaimRow]) -> str:
    """One line: how narrow a feature was certainly looked at, and for which claims none was."""
    known = [row for row in rows if not math.isnan(row.looked_at)]
    finite = [row.looked_at for row in known if math.isfinite(row.looked_at)]
    blind = [row.claim for row in known if math.isinf(row.looked_at)]
    seen = f"Looked at: every feature wider than {max(finite):.1e} in time." if finite else ""
    return f"{seen}{' In between nothing: ' + ', '.join(blind) + '.' if blind else ''}".strip()


def details(records: Sequence[Record], *, strict: bool = False) -> list[str]:
    """What has to be read, in words: failures in full, then what is inconclusive and what is known to fail."""
    return [for_terminal(line) for line in _details(records, strict)]


def _details(records: Sequence[Record], strict: bool) -> list[str]:
    lines: list[str] = []
    for record in records:
        if outcome(record, strict=strict) == "failed":
            unexpected = record.expected_failure and record.verdict == "holds"
            note = f"\n  known to fail, and holds: {record.expected_failure}" if unexpected else ""
            lines.append(f"[{identifier(record)}] {record}{note}\n")
    for record in records:
        if outcome(record, strict=strict) == "inconclusive":
            where = f"{record.subject}; {record.problem}"
            lines.append(f"[{identifier(record)}] {record.claim} inconclusive: {_why(record)}: {where}")
            lines += [f"  to decide it: {record.decides}"] if record.decides else []
    known: dict[tuple[str, str, str], int] = {}
    for record in records:
        if outcome(record) == "expected failure":
            key = record.claim, record.subject, record.expected_failure
            known[key] = known.get(key, 0) + 1
    lines += [
        f"{claim} known to fail ({n} of its problems): {why}: {subject}" for (claim, subject, why), n in known.items()
    ]
    return lines


def _why(record: Record) -> str:
    if math.isnan(record.resolved):
        return record.message
    return (
        f"would have seen {record.resolved:.1e}, asked for {record.resolution:.1e}, "
        f"largest term of the bar: {record.largest_term}"
    )
