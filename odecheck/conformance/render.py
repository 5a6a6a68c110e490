"""The rows as Markdown, JSON and parquet. Computes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from odecheck.claim import reading_order
from odecheck.foreign import first_line
from odecheck.foreign import markdown as escaped
from odecheck.records.badge import State
from odecheck.records.export import write_json
from odecheck.records.table import can_write, write_table

from .matrix import Row, frame, unexpected

SIGNS = {"holds": "✓", "refuted": "✗", "inconclusive": "?", "not applicable": "·", "unsupported": "–", "error": "!"}
# what a cell shows of several problems: the worst of them
WORST = ("error", "refuted", "inconclusive", "holds", "unsupported", "not applicable")
# the words in which a message says what became of a process
LONGEST = 160


def write(folder: Path, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
    """Write conformance.md, conformance.json and, where tables can be written, conformance.parquet.

    Args:
        folder: made where there is none.
        rows: of the matrix.
        facts: of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conformance.md").write_text(markdown(rows, facts), encoding="utf-8")
    write_json(str(folder / "conformance.json"), [asdict(row) for row in rows], facts)
    table = folder / "conformance.parquet"
    if can_write():
        write_table(table, frame(rows))
    else:
        table.unlink(missing_ok=True)  # of a run before, whose rows are others


def states(rows: Sequence[Row]) -> list[tuple[str, State]]:
    """What a badge is made of: of each row that was judged its library with its claim, and its state.

    Of several versions of a library the newest counts, which comes first.

    Args:
        rows: of the matrix.
    """
    found: list[tuple[str, State]] = []
    newest: dict[str, str] = {}
    for row in rows:
        if row.claim and row.verdict in ("holds", "refuted", "inconclusive", "error"):
            if newest.setdefault(row.library, row.version) != row.version:
                continue
            undecided: State = "undecided" if row.verdict == "inconclusive" else "holds"
            state: State = "failed" if not row.ok else "known failure" if row.expected_failure else undecided
            found.append((f"{row.library} {row.claim}", state))
    return found


def markdown(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The matrix as a page: what is refuted in it and why, and what was not to be expected.

    Args:
        rows: of the matrix.
        facts: of the run.

    Returns:
        Markdown.
    """
    versions = ", ".join(f"{name} {v}" for name, v in facts.get("versions", {}).items() if v)
    parts = [
        "# Conformance of solver libraries",
        f"{len(rows)} rows: library × version × method × claim × problem. Made with `odecheck conformance --write "
        f"reports` ({versions}); `odecheck reproduce ROW` prints a script for a refuted row.",
        "✓ holds, ✗ refuted, ! no answer, ? inconclusive, – unsupported, · not applicable; bold: not expected. A cell "
        "shows the worst of its problems.",
        "## Counts",
        _table(("library", "version", *SIGNS, "not expected"), _counts(rows)),
        "## Matrix",
    ]
    for library in dict.fromkeys(row.library for row in rows if row.claim):
        mine = [row for row in rows if row.library == library and row.claim]
        parts += [f"### {_text(library)}", _matrix(mine)]
    parts += ["## What is refuted, and why", _reasons(rows)]
    news = unexpected(rows)
    parts += ["## Not expected", _each(news) if news else "Nothing."]
    remarks = [row for row in rows if not row.claim]
    if remarks:
        parts += ["## Versions", "\n".join(f"- {_text(f'{r.library} {r.version}: {r.message}')}" for r in remarks)]
    return "\n\n".join(parts) + "\n"


class _Markup(str):
    """Markdown of our own; what else stands in a table is text of somebody."""


def _text(cell: object) -> str:
    return cell if isinstance(cell, _Markup) else escaped(cell)


def _table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _counts(rows: Sequence[Row]) -> Iterable[Sequence[object]]:
    for library, version in dict.fromkeys((row.library, row.version) for row in rows):
        mine = [row for row in rows if (row.library, row.version) == (library, version)]
        counts = [sum(row.verdict == verdict for row in mine) for verdict in SIGNS]
        yield library, version, *counts, len(unexpected(mine))


def _matrix(rows: Sequence[Row]) -> str:
    claims = list(dict.fromkeys(row.claim for row in sorted(rows, key=lambda row: reading_order(row.claim))))
    body: list[Sequence[object]] = []
    for way in dict.fromkeys((row.version, row.engine, row.method) for row in rows):
        mine = [row for row in rows if (row.version, row.engine, row.method) == way]
        body.append((*way, *(_cell([row for row in mine if row.claim == claim]) for claim in claims)))
    return _table(("version", "engine", "method", *claims), body)


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    worst = min(rows, key=lambda row: (row.ok, WORST.index(row.verdict)))
    return _Markup(SIGNS[worst.verdict] if worst.ok else f"**{SIGNS[worst.verdict]}**")


def _reasons(rows: Sequence[Row]) -> str:
    """Each known failure once, with the rows that show it."""
    lines: list[str] = []
    failing = [row for row in rows if row.expected_failure and row.verdict in ("refuted", "error")]
    for library, why in dict.fromkeys((row.library, row.expected_failure) for row in failing):
        mine = [row for row in failing if (row.library, row.expected_failure) == (library, why)]
        worst = max(mine, key=lambda row: row.score if math.isfinite(row.score) else math.inf)
        where = ", ".join(dict.fromkeys(f"{row.engine} {row.method}" for row in mine))
        title = _text(f"{library} {_span([row.version for row in mine])}")
        claims = _text(", ".join(dict.fromkeys(row.claim for row in mine)))
        lines.append(
            f"- **{title}**, {_text(_some(where))}: {_text(why)}. "
            f"{claims}; {len(mine)} rows, the plainest `{_text(worst.row)}`: "
            f"observed {worst.observed:.6g}, expected {worst.expected:.6g} ± {worst.bar:.1g}"
        )
    return "\n".join(lines) or "Nothing."


def _span(versions: Sequence[str]) -> str:
    found = list(dict.fromkeys(versions))
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _some(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(",", 1)[0] + ", …"


def _each(rows: Sequence[Row]) -> str:
    return _table(
        ("row", "library", "engine", "method", "claim", "problem", "verdict", "observed", "expected", "message"),
        (
            (
                row.row,
                f"{row.library} {row.version}",
                row.engine,
                row.method,
                row.claim,
                row.problem,
                row.verdict,
                f"{row.observed:.6g}",
                f"{row.expected:.6g}",
                first_line(row.message, LONGEST),
            )
            for row in rows
        ),
    )
