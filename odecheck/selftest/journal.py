"""Long work in pieces: each piece has a key and gives rows; a journal keeps them, and a second run does the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.records.journal import Journal as Lines
from odecheck.records.run_folder import about, taken
from odecheck.runner.elsewhere import in_executor, result_of
from odecheck.runner.pool import Job, in_processes

Row = dict[str, Any]
Work = Callable[[Any], list[Row]]


@dataclass(frozen=True)
class Piece:
    """One piece of work: `work(argument)` of a run gives its rows. `key` is its name in the journal."""

    key: str
    argument: Any


def done(path: Path, facts: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of a journal by key; a last line that was cut off is left out. Empty when there is none.

    Raises:
        BadInput: the journal was begun with other facts (a seed, a version): its rows do not belong together.
    """
    begun, entries = _read(path)
    if begun and begun != json.loads(json.dumps(facts)):
        raise BadInput(
            f"{path} was begun with {begun}, not {dict(facts)}",
            "another --seed or another version of odecheck than before",
            "the same command as before, or another --run",
        )
    return {entry["key"]: entry["rows"] for entry in entries}


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The facts that a journal was begun with, and its pieces. Its first line has the facts."""
    facts, *pieces = Lines(path).entries or [{}]
    return facts, pieces


def so_far(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """All rows that a journal holds, and the facts that it was begun with; none when there is no journal."""
    facts, pieces = _read(path)
    return [row for entry in {entry["key"]: entry for entry in pieces}.values() for row in entry["rows"]], facts


def spent(path: Path) -> dict[str, Any]:
    """What the pieces of a journal cost of processor time, child processes included, and the commits they are of."""
    _, pieces = _read(path)
    commits = dict.fromkeys(entry["commit"] for entry in pieces if entry.get("commit"))
    return {"cpu_seconds": sum(entry.get("cpu_seconds", 0.0) for entry in pieces), "commits": list(commits)}


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Journal:
    """An open journal: rows by key in `known`, and `add`, after which the death of this process loses nothing.

    Args:
        path: of its file.
        facts: what all rows have in common: a seed, a version.
        resume: whether to go on with a journal that is there.

    Raises:
        BadInput: a journal that is there although `resume` is False, or that was begun with other facts.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], *, resume: bool) -> None:
        if path.exists() and not resume:
            raise taken(path, "rm")
        self.known = done(path, facts)
        self._lines = Lines(path)
        if not self._lines.entries:
            self._lines.add(facts)
        self._spent, self._commit = _cpu(), (about({}, seed=0)["commit"] or "")[:10]

    def add(self, key: str, rows: list[Row], elsewhere: float = 0.0) -> None:
        """Keep the rows of one piece; once this returns, the death of this process does not lose them.

        Args:
            key: of the piece.
            rows: of the piece.
            elsewhere: seconds of a processor that another process spent on them, which is no ended child of this one.
        """
        before, self._spent = self._spent, _cpu()
        seconds = round(self._spent - before + elsewhere, 3)
        entry = {"key": key, "cpu_seconds": seconds, "commit": self._commit, "rows": rows}
        self._lines.add(entry)
        self.known[key] = rows

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()


def through(
    pieces: Sequence[Piece],
    work: Work,
    path: Path,
    facts: Mapping[str, Any],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, list[Row]]:
    """The rows of all pieces by key, in their order; what the journal at `path` already has is not done again."""
    with Journal(path, facts, resume=resume) as journal:
        left = [piece for piece in pieces if piece.key not in journal.known]
        for key, rows, seconds in _rows(left, work, workers, executor):
            journal.add(key, rows, seconds)
            if progress:
                progress(key)
        return {piece.key: journal.known[piece.key] for piece in pieces}


def _rows(
    pieces: Sequence[Piece], work: Work, workers: int, executor: Executor | None
) -> Iterator[tuple[str, list[Row], float]]:
    if executor is None and workers <= 1:
        for piece in pieces:
            yield piece.key, work(piece.argument), 0.0
        return
    jobs = [Job(piece.key, _with_seconds, (work, piece.argument)) for piece in pieces]
    for key, found in in_executor(executor, jobs) if executor else in_processes(jobs, workers):
        yield key, *result_of(key, found)


def _with_seconds(work: Work, argument: Any) -> tuple[list[Row], float]:
    """In another process: the rows of a piece, and what they cost of its processor."""
    before = _cpu()
    return work(argument), _cpu() - before
