"""How verdicts look on a terminal: the verdict first and last, a table by family, what has to be read, what to type."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import number

if TYPE_CHECKING:
    from rich.console import Console

    from odecheck.record import Record
    from odecheck.records.outcomes import Headline

# columns of what is no terminal, and has no COLUMNS
PIPED = 120
# with fewer columns nothing can be read
NARROWEST = 20


def console(*, stderr: bool = False) -> Console:
    """Where people read: as wide as $COLUMNS or the terminal, else PIPED; colours where there is a terminal."""
    from rich.console import Console

    class Reader(Console):
        def on_broken_pipe(self) -> None:
            """Nobody reads on: the work, its files and its exit status are the same. By default it exits with 1."""
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    width = shutil.get_terminal_size((PIPED, 24)).columns
    return Reader(stderr=stderr, width=max(NARROWEST, width), highlight=False)


def verdict(out: Console, found: Headline, took: str = "") -> None:
    """The verdict on a run, on one line."""
    from rich.text import Text

    from odecheck.foreign import one_line

    line = Text(found.word, style=found.style)
    line.append(f": {one_line(found.text)}" + (f" ({took})" if took else "") + ".", style="")
    out.print(line, soft_wrap=True)


def lines(out: Console, texts: Iterable[object]) -> None:
    """Text of other people, as it is but for control characters; no markup."""
    from odecheck.foreign import for_terminal

    for text in texts:
        out.print(for_terminal(text), markup=False, highlight=False, emoji=False)


def markdown(out: Console, page: str) -> None:
    """A page of Markdown as it reads: headings, tables as wide as the terminal, no source."""
    from rich.markdown import Markdown

    from odecheck.foreign import for_terminal

    out.print(Markdown(for_terminal(page), hyperlinks=False))


def following(out: Console, text: str, command: str) -> None:
    """What to type next, in one line that can be copied."""
    from odecheck.foreign import one_line

    out.print(f"{text}: {one_line(command, 2_000)}", markup=False, highlight=False, emoji=False, soft_wrap=True)


def records_of_a_run(
    records: Sequence[Record],
    folder: Path,
    *,
    strict: bool,
    stderr: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    took: str = "",
) -> None:
    """Print a run of `odecheck verify`.

    Args:
        records: all of it.
        folder: where they are kept.
        strict: whether what is inconclusive has failed.
        stderr: print to the standard error, since the records go to the standard output.
        quiet: the verdict alone, once.
        verbose: with a line for each record.
        took: what it has cost, in words.
    """
    from odecheck.claims.find import by_id
    from odecheck.records.summary import details, headline, table

    out, found = console(stderr=stderr), headline(records, strict=strict)
    verdict(out, found, took)
    if quiet:
        return
    out.print()
    if verbose:
        lines(out, [*map(_line, records), ""])
    if shown := table(records, by_id(), width=out.width):
        out.print(shown, "")
    if told := details(records, strict=strict):
        lines(out, [*told, ""] if told[-1][-1:] != "\n" else told)
    where_to_look(out, records, folder, strict)
    verdict(out, found, took)


def _line(record: Record) -> str:
    from odecheck.foreign import first_line, one_line
    from odecheck.records.summary import identifier

    why = "" if record.verdict in ("holds", "refuted") else f": {first_line(record.decides or record.message)}"
    place = one_line(f"{record.problem}; {record.subject}")
    return f"[{identifier(record)}] {one_line(record.claim):<9}{record.verdict:<15}{place}{why}"


def where_to_look(out: Console, records: Sequence[Record], folder: Path, strict: bool) -> None:
    """Where the records are, and the next command."""
    from odecheck.foreign import one_line
    from odecheck.record import is_refused
    from odecheck.records.summary import identifier, outcome

    place = shlex.quote(str(folder))
    kinds: dict[str, Any] = {}
    for record in records:
        kinds.setdefault(outcome(record, strict=strict), record)
    following(
        out, f"{number(len(records), 'record')} in {one_line(folder)}; the page of it", f"odecheck report {place}"
    )
    if records and all(map(is_refused, records)):
        following(out, "Next, when that is mended", f"odecheck verify --run {place} --resume")
    elif first := kinds.get("failed", kinds.get("inconclusive")):
        following(out, "Next, the whole story of the first", f"odecheck show {identifier(first)} --run {place}")
    elif "not asked" in kinds and not records[0].claim.startswith("WATCH-"):
        following(out, "Next, what was not asked", f"odecheck verify --run {place} --resume")
    elif known := kinds.get("passed", kinds.get("expected failure")):
        following(out, "Next, what such a verdict rests on", f"odecheck show {identifier(known)} --run {place}")
