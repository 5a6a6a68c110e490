"""The run folder: what was run, and its records, written as they come.

run.json          versions, device, seed, git commit, command, and the cases that the run consists of
journal.jsonl     one record a line while the run goes on: a line is written at once or not at all
records.parquet   all records in the order of the cases, when the run has ended; the journal is gone then. Without the
                  extra that tables are made with, the journal stays, and says the same
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.foreign import said
from odecheck.record import Record

from .commit import described
from .facts import (
    CHECKSUM,
    SCHEMA,
    changed,
    command_of,
    kind_of,
    read_facts,
    refuse_other_shapes,
    same_cases,
    same_kind,
)
from .journal import Journal, digest, replace
from .lock import Lock
from .reading import forget_changed, frame, read_records, without_checksums
from .table import can_write, write_table

__all__ = [
    "SCHEMA",
    "RunFolder",
    "Store",
    "about",
    "command_of",
    "frame",
    "kind_of",
    "read",
    "read_facts",
    "read_records",
    "same_kind",
    "taken",
    "versions",
    "without_checksums",
]

LIBRARIES = ("odecheck", "torch", "torchdiffeq", "numpy", "scipy")


def about(cases: Mapping[str, Any], *, seed: int, **more: Any) -> dict[str, Any]:
    """What a run consists of, and what it was run with; the contents of run.json."""
    return {
        "schema": SCHEMA,
        "versions": versions(),
        "device": "cpu",
        "platform": platform.platform(),
        "seed": seed,
        "commit": described(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": None,
        "cases": cases,
        **more,
    }


def versions(*more: str) -> dict[str, str | None]:
    """Of Python, of what every run depends on, and of more packages; None where one is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in (*LIBRARIES, *more)}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def taken(place: str | os.PathLike[str], remove: str = "rm -r") -> BadInput:
    """The refusal of a place that holds a run already."""
    return BadInput(
        f"the {'folder ' if remove == 'rm -r' else 'file '}{place} already holds a run",
        "the same --run twice",
        f"--resume to go on with it, or another --run, or {remove} {place}",
    )


class RunFolder:
    """A folder that holds a run: its facts, in run.json. Every command that can go on has one.

    Args:
        folder: where.
        facts: what run.json says.
        belongs: names of the facts without which rows of the run do not belong together; their digest is written too.
        lock: of the folder; `close` gives it back.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], belongs: Sequence[str], lock: Lock) -> None:
        self.folder, self.facts, self.belongs, self.lock = folder, facts, belongs, lock

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        facts: dict[str, Any],
        *,
        resume: bool,
        belongs: Sequence[str],
        same: Callable[[Path, dict[str, Any], dict[str, Any]], None],
        onwards: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda known, _: known,
        tables: Sequence[str] = (),
    ) -> RunFolder:
        """Begin a run, or go on with one.

        Args:
            folder: made where there is none.
            facts: of the run that is to be begun; `about` makes them.
            resume: whether a run that is there may be gone on with.
            belongs: see `RunFolder`.
            same: (folder, facts there, facts now) raises BadInput where the two do not belong into one run.
            onwards: (facts there, facts now) → the facts of the run from now on.
            tables: files of the folder that hold a run as well as run.json does.

        Raises:
            BadInput: for a folder that holds a run where `resume` is False, or one of another command, of another
                version of the format, that `same` refuses, whose facts were changed since they were written, or that
                another process is at work on.
        """
        path = Path(folder)
        _is_free(path, resume, tables)
        path.mkdir(parents=True, exist_ok=True)
        lock = Lock(path)
        try:
            _is_free(path, resume, tables)  # a process that had it a moment ago may have begun a run
            if os.path.lexists(path / "run.json"):
                known = read_facts(path)
                refuse_other_shapes(path, known)
                same_kind(path, known, kind_of(facts))
                try:
                    same(path, known, facts)
                    _as_written(path, known, belongs)
                    facts = {**onwards(known, facts), "finished": None}
                except (KeyError, TypeError, IndexError, AttributeError) as error:
                    raise _of_no_run(path, error) from error
            opened = cls(path, facts, belongs, lock)
            opened.write_facts()
        except BaseException:
            lock.release()
            raise
        return opened

    def write_facts(self) -> None:
        """Write run.json, with the digest of what belongs together, and a checksum of it all."""
        self.facts["digest"] = _belonging(self.facts, self.belongs)
        self.facts[CHECKSUM] = digest({k: v for k, v in self.facts.items() if k != CHECKSUM})
        replace(self.folder / "run.json", (json.dumps(self.facts, indent=1) + "\n").encode())

    def finish(self) -> None:
        """Say that the run has ended, and when."""
        self.facts["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_facts()
        self.close()

    def close(self) -> None:
        """Let other processes have the folder."""
        self.lock.release()


def _of_no_run(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"{path / 'run.json'} does not say what a run says ({said(error)})",
        "a file that was edited, or of another program",
        f"another --run; odecheck report {path} shows what is in this one",
    )


def _is_free(path: Path, resume: bool, tables: Sequence[str]) -> None:
    if not resume and any(os.path.lexists(path / name) for name in ("run.json", *tables)):
        raise taken(path)


def _belonging(facts: Mapping[str, Any], belongs: Sequence[str]) -> str:
    return digest({name: facts.get(name) for name in belongs})


def _as_written(path: Path, known: Mapping[str, Any], belongs: Sequence[str]) -> None:
    if known.get("digest", _belonging(known, belongs)) != _belonging(known, belongs):
        raise BadInput(
            f"{path / 'run.json'} is not what was written: its {', '.join(belongs)} have another digest",
            "a file that was edited, or of another run",
            f"the run.json of this run, or another --run; odecheck report {path} shows what is in this one",
        )
    if trouble := changed(known):
        raise BadInput(
            f"{path / 'run.json'} {trouble}",
            "a file that was edited, or a disk that changed it",
            f"another --run; odecheck report {path} shows what is in this one",
        )


class Store:
    """The run folder of records.

    records: those that it already has. damaged: what could not be read, in words. changed: how many of its records were
    of other code than what is asked now, in words; they are not there any more.
    """

    def __init__(self, run: RunFolder, changed: str = "") -> None:
        self.run, self.changed = run, changed
        self.records, self.damaged = read_records(run.folder)
        self._journal = Journal(run.folder / "journal.jsonl")

    @classmethod
    def open(cls, folder: str | os.PathLike[str], facts: dict[str, Any], *, resume: bool) -> Store:
        """Begin a run, or go on with one that consists of the same cases. Raises BadInput as `RunFolder.open` does."""
        told: list[str] = []

        def onwards(known: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
            told.append(forget_changed(Path(folder), known["cases"], now["cases"]))
            return {**known, "cases": now["cases"]}

        belongs = ("cases", "seed", "versions")
        run = RunFolder.open(folder, facts, resume=resume, belongs=belongs, same=same_cases, onwards=onwards)
        return cls(run, "".join(told))

    def add(self, record: Record) -> None:
        """Write one record; once this returns, the death of this process does not lose it."""
        self._journal.add(asdict(record))

    def close(self) -> None:
        """Close the journal, and let other processes have the folder."""
        self._journal.close()
        self.run.close()

    def finish(self, records: Sequence[Record]) -> None:
        """Write all records of the ended run as one table in the place of the journal, where tables can be written."""
        if not can_write():
            self._journal.rewrite(asdict(record) for record in records)
            self.run.finish()
            return
        # as it is, so that a byte that is changed costs one row and not a column
        plain: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        write_table(self.run.folder / "records.parquet", frame(records), **plain)
        self._journal.remove()
        self.run.finish()


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Record]]:
    """Read a run, whether it has ended or not.

    Args:
        folder: of the run.

    Returns:
        Its facts, and its records, each case once.

    Raises:
        BadInput: as `read_facts`.
    """
    return read_facts(folder), read_records(Path(folder))[0]
