"""What many records say together: the verdict on a run in a sentence, and what of it has to be read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from odecheck.foreign import for_terminal, one_line

from .by_family import table
from .outcomes import (
    COLUMNS,
    NOT_ASKED,
    UNDECIDED,
    ClaimRow,
    Headline,
    Outcome,
    by_claim,
    columns_of,
    exit_status,
    identifier,
    outcome,
)

if TYPE_CHECKING:
    from odecheck.record import Record

__all__ = [
    "COLUMNS",
    "NOT_ASKED",
    "UNDECIDED",
    "ClaimRow",
    "Headline",
    "Outcome",
    "by_claim",
    "columns_of",
    "details",
    "exit_status",
    "headline",
    "identifier",
    "outcome",
    "table",
]

# of one refusal so many subjects, problems and claims are named
MOST_NAMES = 8


def headline(records: Sequence[Record], *, strict: bool = False) -> Headline:
    """What many records say together, in a sentence.

    Args:
        records: all that were judged.
        strict: whether what is inconclusive has failed.

    Returns:
        The verdict on the run.
    """
    from odecheck.record import is_refused

    kinds = [outcome(record, strict=strict) for record in records]
    judged = len(records) - kinds.count("not applicable") - kinds.count("not asked")
    failed = [record for record, kind in zip(records, kinds, strict=True) if kind == "failed"]
    waiting = kinds.count("not asked")
    rest = f"; {waiting:,} {'was' if waiting == 1 else 'were'} not asked" if waiting else ""
    if failed and all(map(is_refused, failed)):
        of = len({record.subject for record in records})
        refused = len({record.subject for record in failed})
        others = f", {judged - len(failed):,} other verdicts are as expected" if judged > len(failed) else ""
        subjects = f"{refused:,} of {of:,} subjects" if of > 1 else "the subject"
        told = f"{subjects} cannot be verified as {'they are' if of > 1 else 'it is'}{others}{rest}"
        return Headline("REFUSED", told, "bold red")
    if failed:
        word = "ERROR" if all(record.verdict == "error" for record in failed) else "REFUTED"
        text = f"{len(failed):,} of {judged:,} verdicts are not as expected ({_kinds(failed)}){rest}"
        return Headline(word, text, "bold red")
    if unsure := kinds.count("inconclusive"):
        text = f"{unsure:,} of {judged:,} verdicts are inconclusive, none is refuted{rest}"
        return Headline("UNDECIDED", text, "bold yellow")
    if not judged:
        return Headline("NOTHING JUDGED", f"none of {len(records):,} cases was judged{rest}", "bold yellow")
    known = kinds.count("expected failure")
    failures = f", {known:,} of them known failures" if known else ""
    every = "the one verdict is" if judged == 1 else f"all {judged:,} verdicts are"
    return Headline("AS EXPECTED", f"{every} as expected{failures}{rest}", "bold green")


def _kinds(failed: Sequence[Record]) -> str:
    """2 refuted, 1 error, of records that failed."""
    words = {"holds": "known to fail and held", "error": "errors"}
    counts = Counter(str(record.verdict) for record in failed)
    return ", ".join(
        f"{n:,} {'error' if n == 1 and kind == 'error' else words.get(kind, kind)}" for kind, n in counts.items()
    )


def details(records: Sequence[Record], *, strict: bool = False) -> list[str]:
    """What has to be read, in words: failures in full, then what is inconclusive and what is known to fail."""
    return [for_terminal(line) for line in _details(records, strict)]


def _details(records: Sequence[Record], strict: bool) -> list[str]:
    lines: list[str] = []
    same: dict[str, list[Record]] = {}
    for record in records:
        if outcome(record, strict=strict) == "failed":
            # one refusal, or one exception, has as many records as there are claims
            same.setdefault(record.message if record.verdict == "error" else "\0".join(record.key), []).append(record)
    for alike in same.values():
        record = alike[0]
        unexpected = record.expected_failure and record.verdict == "holds"
        note = f"\n  known to fail, and holds: {record.expected_failure}" if unexpected else ""
        lines.append(f"[{identifier(record)}] {record if len(alike) == 1 else _alike(alike)}{note}\n")
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


def _alike(records: Sequence[Record]) -> str:
    """Errors of one message, said once."""
    named = {
        what: list(dict.fromkeys(one_line(getattr(record, what)) for record in records))
        for what in ("subject", "problem", "claim")
    }
    told = [
        f"  {what}{'s' if len(names) > 1 else ''}: {'; '.join(names[:MOST_NAMES])}"
        + (f"; and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
        for what, names in named.items()
    ]
    return "\n".join([f"{records[0].verdict}: {records[0].message}", *told, f"  verdicts: {len(records)}"])


def _why(record: Record) -> str:
    if math.isnan(record.resolved):
        return record.message
    return (
        f"would have seen {record.resolved:.1e}, asked for {record.resolution:.1e}, "
        f"largest term of the bar: {record.largest_term}"
    )
