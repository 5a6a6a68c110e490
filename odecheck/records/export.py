"""Records for other programs: JSON, JUnit XML, and the summary of a step of GitHub Actions."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odecheck.foreign import markdown, one_line

from .facts import versions_in
from .junit import write_junit
from .summary import by_claim, columns_of, headline, identifier, outcome

if TYPE_CHECKING:
    from odecheck.record import Record

__all__ = ["SCHEMA", "SUMMARY_BYTES", "schema", "to_summary", "write_json", "write_junit", "write_summary"]

SCHEMA = 2
# what GitHub takes as the summary of one step
SUMMARY_BYTES = 1024 * 1024
LONGEST_FAILURE = 20_000


def schema() -> dict[str, Any]:
    """The JSON schema of what `write_json` writes, of version SCHEMA: the file records.schema.json of this package."""
    return json.loads((resources.files("odecheck") / "records.schema.json").read_text(encoding="utf-8"))


def write_json(file: str, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """Write {"schema", "facts", "records"} as JSON, which has no infinity and no NaN: "Infinity", "-Infinity" and null.

    Args:
        file: a path, whose folder is made, or "-" for the standard output.
        rows: the records, as dictionaries.
        facts: of the run.
    """
    text = json.dumps(
        {"schema": SCHEMA, "facts": facts, "records": [_finite(row) for row in rows]}, indent=1, allow_nan=False
    )
    if file == "-":
        sys.stdout.write(text + "\n")
    else:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text + "\n")


def number(value: Any) -> Any:
    """A number as `write_json` was given it; what is none comes back as it is.

    Args:
        value: of a column of numbers.
    """
    return {None: math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    def one(value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    return {name: one(value) for name, value in row.items()}


def write_summary(
    file: str,
    records: Sequence[Record],
    facts: Mapping[str, Any],
    *,
    strict: bool = False,
    run: str = "",
    without: Sequence[str] = (),
) -> None:
    """Add Markdown for people who look at a CI run to a file, which in all stays below SUMMARY_BYTES.

    Args:
        file: a path, whose folder is made.
        records: the records.
        facts: of the run.
        strict: whether what is inconclusive has failed.
        run: the folder of the run, for what to type.
        without: tests that came to no record, as those whose subject was refused.
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    room = SUMMARY_BYTES - 1 - (path.stat().st_size if path.exists() else 0)
    with path.open("a", encoding="utf-8", errors="replace") as opened:
        opened.write(to_summary(records, facts, strict=strict, room=room, run=run, without=without))


def to_summary(
    records: Sequence[Record],
    facts: Mapping[str, Any],
    *,
    strict: bool = False,
    room: int = SUMMARY_BYTES,
    run: str = "",
    without: Sequence[str] = (),
) -> str:
    """Markdown of a run: the verdict, one row for each claim, then every failure in full for as long as there is room.

    Args:
        records: the records.
        facts: of the run.
        strict: whether what is inconclusive has failed.
        room: bytes.
        run: the folder of the run, for what to type.
        without: tests that came to no record, as those whose subject was refused.

    Returns:
        The text, of at most so many bytes.
    """
    kinds = [outcome(record, strict=strict) for record in records]
    failed = [record for record, kind in zip(records, kinds, strict=True) if kind == "failed"]
    head = headline(records, strict=strict).text
    head += f"; {len(without):,} tests came to no verdict" if without else ""
    made = ", ".join(f"{name} {version}" for name, version in versions_in(facts).items())
    parts = [f"## odecheck: {head}\n\n{markdown(made)}\n\n", _by_claim(records)]
    parts += [f"\n{_failure(record, run)}" for record in failed]
    undecided = [record for record, kind in zip(records, kinds, strict=True) if kind == "inconclusive"]
    parts += [f"\n{_undecided(record)}\n" for record in undecided]
    text, left = "", room
    for i, part in enumerate(parts):
        more = f"\nAnd {len(parts) - i:,} more that did not fit here.\n"
        size = len(part.encode("utf-8", "replace"))
        if size + len(more) > left:
            return text + (more if len(more) <= left else "")
        text, left = text + part, left - size
    return text


def _by_claim(records: Sequence[Record]) -> str:
    columns = columns_of(records)
    titles = [title for title, _, _ in columns]
    lines = ["| claim | " + " | ".join(titles) + " |", "|---" + "|---:" * len(titles) + "|"]
    for row in by_claim(records):
        counts = (str(row.counts.get(kind, "")) for _, kind, _ in columns)
        lines.append(f"| {markdown(row.claim)} | " + " | ".join(counts) + " |")
    return "\n".join(lines) + "\n"


def _failure(record: Record, run: str) -> str:
    """One failure, folded; names of users are no Markdown, and no tags."""
    show = f"odecheck show {identifier(record)}" + (f" --run {one_line(run)}" if run else "")
    story = f"{str(record)[:LONGEST_FAILURE]}\n\n{show}"
    fence = "```"
    while fence in story:
        fence += "`"
    title = markdown(f"{record.claim} {record.verdict}: {record.problem}; {record.subject}"[:300])
    return f"<details><summary>{title}</summary>\n\n{fence}text\n{story}\n{fence}\n\n</details>\n"


def _undecided(record: Record) -> str:
    """One line: what is not decided, and what would decide it."""
    return markdown(f"{record.claim} inconclusive: {record.problem}; {record.subject}. To decide it: {record.decides}")
