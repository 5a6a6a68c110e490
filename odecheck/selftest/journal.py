"""Long work in pieces: each piece has a key and gives rows; a journal keeps them, and a second run does the rest."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.records.run_folder import about

Row = dict[str, Any]
Work = Callable[[Any], list[Row]]


@dataclass(frozen=True)
class Piece:
    """One piece of work: `work(argument)` of a run gives its rows. key: its name in the journal."""

    key: str
    argument: Any


def done(path: Path, facts: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of a journal by key; a last line that was cut off is left out. Empty when there is none.

    Raises BadInput when the journal was begun with other facts (a seed, a version): its rows do not belong together.
    """
    if not path.exists():
        return {}
    found: dict[str, list[Row]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if number == 0:
            if entry != json.loads(json.dumps(facts)):
                raise BadInput(
                    f"{path} was begun with {entry}, not {dict(facts)}",
                    "another --seed or another version of odecheck than before",
                    "the same command as before, or another --run",
                )
        else:
            found[entry["key"]] = entry["rows"]
    return found


def so_far(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """All rows that a journal holds, and the facts that it was begun with; none when there is no journal."""
    if not path.exists():
        return [], {}
    facts = json.loads(path.read_text(encoding="utf-8").split("\n", 1)[0])
    return [row for rows in done(path, facts).values() for row in rows], facts


def spent(path: Path) -> dict[str, Any]:
    """What the pieces of a journal cost of processor time, child processes included, and the commits they are of."""
    seconds, commits = 0.0, dict[str, None]()
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        seconds += entry.get("cpu_seconds", 0.0)
        commits |= {entry["commit"]: None} if entry.get("commit") else {}
    return {"cpu_seconds": seconds, "commits": list(commits)}


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Journal:
    """An open journal: rows by key in `known`, and `add`, after which the death of this process loses nothing.

    Raises BadInput for a journal that is there although `resume` is False, or that was begun with other facts.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], *, resume: bool) -> None:
        if path.exists() and not resume:
            raise BadInput(f"{path} already holds a run", "the same --run twice", f"--resume, or rm {path}")
        self.known = done(path, facts)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if path.stat().st_size == 0:
            print(json.dumps(facts), file=self._file, flush=True)
        elif path.read_bytes()[-1:] != b"\n":
            print(file=self._file)
        self._spent, self._commit = _cpu(), (about({}, seed=0)["commit"] or "")[:10]

    def add(self, key: str, rows: list[Row]) -> None:
        before, self._spent = self._spent, _cpu()
        entry = {"key": key, "cpu_seconds": round(self._spent - before, 3), "commit": self._commit, "rows": rows}
        print(json.dumps(entry), file=self._file, flush=True)
        self.known[key] = rows

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def through(
    pieces: Sequence[Piece],
    work: Work,
    path: Path,
    facts: Mapping[str, Any],
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, list[Row]]:
    """The rows of all pieces by key, in their order; what the journal at `path` already has is not done again."""
    with Journal(path, facts, resume=resume) as journal:
        for key, rows in _rows([piece for piece in pieces if piece.key not in journal.known], work, workers):
            journal.add(key, rows)
            if progress:
                progress(key)
        return {piece.key: journal.known[piece.key] for piece in pieces}


def _rows(pieces: Sequence[Piece], work: Work, workers: int) -> Iterator[tuple[str, list[Row]]]:
    if workers <= 1:
        for piece in pieces:
            yield piece.key, work(piece.argument)
        return
    # not forked: torch's threads do not survive it
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[list[Row]], str] = {pool.submit(work, piece.argument): piece.key for piece in pieces}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
