"""The run folder: what was run, and its records, written as they come.

run.json          versions, device, seed, git commit, command, and the cases that the run consists of
journal.jsonl     one record a line while the run goes on: a line is written at once or not at all
records.parquet   all records in the order of the cases, when the run has ended; the journal is gone then
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.record import COLUMNS, NEEDED, Record

from .journal import Journal, digest, replace, write_table
from .same_run import same_cases

SCHEMA = 1
LIBRARIES = ("odecheck", "torch", "torchdiffeq", "numpy", "scipy")


def about(cases: Mapping[str, Any], *, seed: int, **more: Any) -> dict[str, Any]:
    """What a run consists of, and what it was run with; the contents of run.json."""
    return {
        "schema": SCHEMA,
        "versions": versions(),
        "device": "cpu",
        "platform": platform.platform(),
        "seed": seed,
        "commit": _commit(),
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


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


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
    """

    def __init__(self, folder: Path, facts: dict[str, Any], belongs: Sequence[str]) -> None:
        self.folder, self.facts, self.belongs = folder, facts, belongs

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
                version of the format, that `same` refuses, or whose facts were changed since they were written.
        """
        path = Path(folder)
        if not resume and any((path / name).exists() for name in ("run.json", *tables)):
            raise taken(folder)
        if (path / "run.json").exists():
            known = read_facts(path)
            same_kind(path, known, kind_of(facts))
            same(path, known, facts)
            _as_written(path, known, belongs)
            facts = {**onwards(known, facts), "finished": None}
        path.mkdir(parents=True, exist_ok=True)
        opened = cls(path, facts, belongs)
        opened.write_facts()
        return opened

    def write_facts(self) -> None:
        """Write run.json, with the digest of what belongs together."""
        self.facts["digest"] = _belonging(self.facts, self.belongs)
        replace(self.folder / "run.json", (json.dumps(self.facts, indent=1) + "\n").encode())

    def finish(self) -> None:
        """Say that the run has ended, and when."""
        self.facts["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_facts()


def _belonging(facts: Mapping[str, Any], belongs: Sequence[str]) -> str:
    return digest({name: facts.get(name) for name in belongs})


def _as_written(path: Path, known: Mapping[str, Any], belongs: Sequence[str]) -> None:
    if known.get("digest", _belonging(known, belongs)) != _belonging(known, belongs):
        raise BadInput(
            f"{path / 'run.json'} is not what was written: its {', '.join(belongs)} have another digest",
            "a file that was edited, or of another run",
            f"the run.json of this run, or another --run; odecheck report {path} shows what is in this one",
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
            told.append(_forget_changed(Path(folder), known["cases"], now["cases"]))
            return {**known, "cases": now["cases"]}

        belongs = ("cases", "seed", "versions")
        run = RunFolder.open(folder, facts, resume=resume, belongs=belongs, same=same_cases, onwards=onwards)
        return cls(run, "".join(told))

    def add(self, record: Record) -> None:
        """Write one record; once this returns, the death of this process does not lose it."""
        self._journal.add(asdict(record))

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def finish(self, records: Sequence[Record]) -> None:
        """Write all records of the ended run as one table in the place of the journal."""
        write_table(self.run.folder / "records.parquet", frame(records))
        self._journal.remove()
        self.run.finish()


def _forget_changed(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Take the records of changed code out of a folder, before its run.json says that the code is another one."""
    was, now = old.get("code", {"claims": {}, "pairs": []}), new.get("code")
    if now is None or was == now:
        return ""
    claims = {id for id, code in now["claims"].items() if was["claims"].get(id) != code}
    before = dict(zip(((s, p) for s, p, _ in old["pairs"]), was["pairs"], strict=False))
    pairs = {(s, p) for (s, p, _), code in zip(new["pairs"], now["pairs"], strict=True) if before.get((s, p)) != code}
    records, _ = read_records(folder)
    left = [r for r in records if r.claim not in claims and (r.subject, r.problem) not in pairs]
    journal = Journal(folder / "journal.jsonl")
    journal.rewrite(map(asdict, left))
    (folder / "records.parquet").unlink(missing_ok=True)
    gone = len(records) - len(left)
    return f"the code of {gone} of {len(records)} kept records was changed since they were judged" if gone else ""


def kind_of(facts: Mapping[str, Any]) -> str:
    """The command that a run is of: verify (or `check`), conformance, train or cost; nothing where it is of none."""
    found = facts.get("cases")
    cases: Mapping[str, Any] = cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
    if "claims" in cases and "pairs" in cases:
        return "conformance" if "conformance" in facts else "verify"
    return "train" if "task" in cases else "cost" if "source" in cases else ""


def same_kind(path: Path, known: Mapping[str, Any], kind: str) -> None:
    """Raises BadInput where the run in `path` is of another command than `kind`."""
    if kind_of(known) != kind:
        other = kind_of(known)
        raise BadInput(
            f"the run in {path} is of {f'odecheck {other}' if other else 'no command that is known'}, not of {kind}",
            "the --run of another command",
            f"another --run, or without --resume a new one; odecheck report {path} shows what is in this one",
        )


def read_facts(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read run.json.

    Args:
        folder: of the run.

    Returns:
        What it says.

    Raises:
        BadInput: there is none, or one that is torn or of another version of the format.
    """
    path = Path(folder) / "run.json"
    try:
        facts: Any = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            f"there is no run in {folder}",
            "another folder, or no run yet",
            "odecheck verify --run DIR, then odecheck show RECORD --run DIR",
        ) from None
    except ValueError as error:
        raise BadInput(
            f"{path} cannot be read: {error}",
            "a disk that was full, or another program's file",
            f"rm -r {folder} and the command of that run again, or --run with the folder of another run",
        ) from error
    seen = cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
    if seen.get("schema") != SCHEMA:
        versions = seen.get("versions", {})
        raise BadInput(
            f"the run in {folder} has format version {seen.get('schema')}, and this odecheck reads {SCHEMA}",
            "a run of another version of odecheck",
            f"pip install odecheck=={versions.get('odecheck') or 'VERSION'} to read it, or another --run",
        )
    return seen


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


def read_records(folder: Path) -> tuple[list[Record], list[str]]:
    """The records of a folder, each case once, and in words what could not be read."""
    rows: list[Any] = []
    damaged: list[str] = []
    table = folder / "records.parquet"
    if table.exists():
        import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

        try:
            rows += cast(Any, pd).read_parquet(table).to_dict("records")
        except Exception as error:  # whatever pyarrow makes of a torn file
            damaged.append(f"{table.name}: {str(error).splitlines()[0]}")
    written = Journal(folder / "journal.jsonl")
    rows += written.entries
    damaged += written.damaged
    kept: dict[tuple[str, str, str], Record] = {}
    for one in rows:
        row = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        if not set(row) <= set(COLUMNS) or not set(row) >= NEEDED:
            damaged.append(f"a row without the columns of a record: {str(cast(object, one))[:60]}")
            continue
        try:
            row["verdict"] = Verdict(row["verdict"])
            record = Record(**row)
        except ValueError:
            damaged.append(f"a row of no known verdict: {str(row['verdict'])[:60]!r}")
            continue
        kept[record.key] = record
    return list(kept.values()), damaged


def frame(records: Sequence[Record]) -> Any:
    """The records as a pandas DataFrame, one row each."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    return pd.DataFrame([{**vars(r), "verdict": str(r.verdict)} for r in records], columns=list(COLUMNS))
