"""Verdict first: what has to be read before anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from odecheck.report.reader import Found
from odecheck.report.tables.records import WORDS
from odecheck.report.text import Column, Section, Table

PLACE = 10

# in the order in which they are to be read; the rest is as expected
READ_FIRST = ("failed", "inconclusive", "known failure", "false as read")
COLUMNS = (
    Column("record", "story", "record"),
    Column("outcome", "outcome", "verdict"),
    Column("claim", "claim"),
    Column("problem", "problem"),
    Column("subject", "subject"),
    Column("score", "gap / bar", "number"),
    Column("resolved", "would have seen", "number"),
    Column("why", "why"),
)


def headline(found: Found) -> tuple[str, bool | None, Sequence[tuple[str, int]]]:
    """The verdict in a sentence, whether all is as expected, and how many records of each outcome."""
    if not found.runs or found.records.empty:
        return _of_tables(found), _of_libraries(found), ()
    outcomes = found.records["outcome"]
    counts = {word: int((outcomes == word).sum()) for word in WORDS.values()}
    shown = [(word, n) for word, n in counts.items() if n]
    judged = len(outcomes) - counts["not applicable"]
    unfinished = [run.name for run in found.runs if not run.facts.get("finished")]
    tail = f" The run {', '.join(unfinished)} has not ended." if unfinished else ""
    if counts["failed"]:
        return f"Not as expected: {counts['failed']:,} of {judged:,} verdicts.{tail}", False, shown
    if counts["inconclusive"]:
        return (
            f"Nothing is refuted that should hold; {counts['inconclusive']:,} of {judged:,} verdicts are inconclusive."
            f"{tail}",
            None,
            shown,
        )
    return f"All {judged:,} verdicts are as expected.{tail}", None if unfinished else True, shown


def _of_tables(found: Found) -> str:
    """What tables without records say of verdicts: those of the ledger and of the libraries."""
    verdicts = {"statements of the papers": [row.verdict for row in found.tables.get("ledger", ())]}
    if "conformance" in found.tables:
        rows = found.tables["conformance"]
        news = int((rows["ok"] == "False").sum())
        what = f"rows of libraries, {news:,} of them not as expected" if news else "rows of libraries"
        verdicts[what] = [*rows["verdict"]]
    told = [
        f"{len(given):,} {what}: " + ", ".join(f"{n:,} {verdict}" for verdict, n in Counter(given).most_common())
        for what, given in verdicts.items()
        if given
    ]
    return ". ".join(told) + "." if told else "No verdicts: these tables hold measurements only."


def _of_libraries(found: Found) -> bool | None:
    """Whether all rows of libraries are as expected; None where there are none, or one is not decided."""
    rows = found.tables.get("conformance")
    if rows is None or rows.empty:
        return None
    if (rows["ok"] == "False").any():
        return False
    return None if "ledger" in found.tables or (rows["verdict"] == "inconclusive").any() else True


def section(found: Found) -> Section | None:
    """The records that have to be read first."""
    if not found.runs:
        return None
    records = found.records
    chosen = records[records["outcome"].isin(READ_FIRST)].copy()
    chosen["rank"] = [READ_FIRST.index(kind) for kind in chosen["outcome"]]
    chosen = chosen.sort_values("rank", kind="stable")
    chosen["why"] = [
        known or (f"{message} To decide it: {decides}" if decides else message)
        for known, decides, message in zip(
            chosen["expected_failure"], chosen["decides"], chosen["message"], strict=False
        )
    ]
    lead = (
        "Each row leads to its story: what was compared, every term of the bar, and the Python that runs it again. "
        "Known failure: a defect of a library that these claims have found; the day it is mended the run fails. "
        "False as read: a sentence of a paper that is not true as it stands, beside the corrected one that holds."
    )
    if chosen.empty:
        return Section("verdict", "What has to be read", "Nothing: no row is refuted or inconclusive.", ())
    table = Table("attention", "Refuted, inconclusive and known failures", COLUMNS, chosen)
    return Section("verdict", "What has to be read", lead, (table,))
