"""What a report is made from: the tables of run folders, and in words what could not be read of them.

A folder is a run of `odecheck verify`, holds asv's results, or holds one or more of the tables named in `KINDS`, itself
or in the folders right below it; a folder that is called by such a name holds any number of them. A torn file, a
missing column or a word where a number belongs never stops a report: it is said there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.records.run_folder import frame, read_facts, read_records
from odecheck.records.summary import COLUMNS as OUTCOMES
from odecheck.records.summary import identifier, outcome

from .history import read as read_asv
from .schemas import KINDS
from .text import tidy

if TYPE_CHECKING:
    from odecheck.ledger.build import Row
    from odecheck.record import Record

# an outcome in the words of the terminal's table
WORDS: Mapping[str, str] = {kind: title for title, kind, _ in OUTCOMES}
MOST_ROWS = 50_000


@dataclass(frozen=True)
class Run:
    """A folder with records. name: short, different for every run of a report."""

    name: str
    folder: Path
    facts: Mapping[str, Any]
    records: Sequence[Record]


@dataclass(frozen=True, eq=False)
class Found:
    """All that was read. frames: by the names of `KINDS`, and `history`, with a column `run`; facts: by its values."""

    runs: Sequence[Run]
    frames: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ledger: Sequence[Row] = ()
    selftest: Mapping[str, Any] = field(default_factory=dict)
    damaged: Sequence[str] = ()

    @cached_property
    def records(self) -> Any:
        """The records of all runs: the columns of a record, run, record (its anchor), outcome in words."""
        import pandas as pd

        return pd.concat([_frame(i, run) for i, run in enumerate(self.runs)], ignore_index=True)


def anchor(number: int, record: Record) -> str:
    """Where the story of a record of the run of this number is found on the page."""
    return f"record-{number}-{identifier(record)}"


def _frame(number: int, run: Run) -> Any:
    made = frame(run.records)
    for name in ("claim", "subject", "problem", "message", "source", "expected_failure"):
        made[name] = [tidy(text) for text in made[name]]
    made.insert(0, "run", run.name)
    made.insert(1, "record", [anchor(number, r) for r in run.records])
    made.insert(2, "outcome", [WORDS[outcome(r)] for r in run.records])
    return made


def sound(record: Record) -> Record:
    """The record with every column of its type: words where words belong, and NaN for what is no number."""
    changed: dict[str, Any] = {}
    for column in fields(record):
        value = getattr(record, column.name)
        if column.type in ("str", "Verdict"):
            right: Any = "" if value is None or value != value else str(value).encode("utf-8", "replace").decode()
            right = Verdict(right) if column.type == "Verdict" else right
        elif column.type == "bool":
            right = bool(value)
        else:
            right = _number(value)
            right = int(right) if column.type == "int" and math.isfinite(right) else right
        changed[column.name] = right
    try:
        terms = {str(k): _number(v) for k, v in json.loads(changed["budget"]).items()}
    except (ValueError, AttributeError):
        terms = {}
    return type(record)(**{**changed, "budget": json.dumps(terms)})


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def read_all(folders: Sequence[str | os.PathLike[str]]) -> Found:
    """Everything in these folders.

    Raises BadInput where a folder holds nothing, or a run of another version of the format.
    """
    runs: list[Run] = []
    parts: dict[str, list[Any]] = {}
    seen: set[Path] = set()
    facts: dict[str, Mapping[str, Any]] = {}
    ledger: list[Row] = []
    selftest: dict[str, Any] = {}
    damaged: list[str] = []
    for folder in map(Path, folders):
        found = 0
        for place in (folder, *(p for p in sorted(folder.glob("*/")) if not p.name.startswith("."))):
            name = _name(place, facts)
            if _holds_records(place):
                mine = read_facts(place)
                records, torn = read_records(place)
                damaged += [f"{name}: {tidy(what)}" for what in torn]
                runs.append(Run(name, place, mine, [sound(r) for r in records]))
                facts[name] = mine
                found += 1
            for kind, path in _tables(place):
                if path in seen:
                    continue
                seen.add(path)
                found += 1
                table, problems = _read(path, kind)
                damaged += [f"{name}, {path.name}: {problem}" for problem in problems]
                if table is not None:
                    own = name if path.stem == kind else path.stem
                    table.insert(0, "run", own)
                    parts.setdefault(kind, []).append(table)
                    facts.setdefault(own, _facts(path))
            if (place / "benchmarks.json").exists():
                found += 1
                table, problems = read_asv(place)
                damaged += [f"{name}: {problem}" for problem in problems]
                if table is not None and len(table):
                    parts.setdefault("history", []).append(table.assign(run=name))
            if (place / "ledger.json").exists():
                found += 1
                ledger += _ledger(place / "ledger.json", damaged)
            if (place / "selftest.json").exists():
                found += 1
                selftest |= _selftest(place / "selftest.json", damaged)
        if not found:
            raise BadInput(
                f"there is nothing to report in {folder}",
                "another folder, or a run that has not begun",
                f"odecheck verify --run DIR, or a folder with one of: {', '.join(f'{k}.parquet' for k in KINDS)}",
            )
    import pandas as pd

    frames = {kind: pd.concat(tables, ignore_index=True) for kind, tables in parts.items()}
    if "conformance" in frames:
        frames["conformance"]["record"] = _row_anchors(frames["conformance"])
    return Found(runs, frames, facts, ledger, selftest, damaged)


def _row_anchors(rows: Any) -> list[str]:
    """Where the story of a row of a library is found on the page: rows of two runs may have the same id."""
    runs = {name: number for number, name in enumerate(dict.fromkeys(rows["run"]))}
    return [
        f"record-t{runs[run]}-{row or f'line{line}'}"
        for line, (run, row) in enumerate(zip(rows["run"], rows["row"], strict=True))
    ]


def _holds_records(folder: Path) -> bool:
    return (folder / "run.json").exists() and any(
        (folder / name).exists() for name in ("records.parquet", "journal.jsonl")
    )


def _name(folder: Path, taken: Mapping[str, Any]) -> str:
    name = folder.resolve().name
    names = [name, *(f"{name} ({n})" for n in range(2, 1000))]
    return next(n for n in names if n not in taken)


def _tables(folder: Path) -> list[tuple[str, Path]]:
    """The tables of a folder: KIND.parquet, or any of a folder that is called KIND."""
    named = [(kind, folder / f"{kind}.parquet") for kind in KINDS]
    kept = [(kind, path) for kind in KINDS if folder.name == kind for path in sorted(folder.glob("*.parquet"))]
    return [(kind, path) for kind, path in (*named, *kept) if path.exists()]


def _facts(table: Path) -> Mapping[str, Any]:
    """The facts beside a table, where there are any that can be read: in run.json, or in a file of the table's name."""
    for path in (table.with_name("run.json"), table.with_suffix(".json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(facts, dict):
            return facts.get("facts", facts)
    return {}


def _read(path: Path, name: str) -> tuple[Any, list[str]]:
    """A table with all columns of its kind, and what is wrong with it."""
    import pandas as pd

    kind, problems = KINDS[name], []
    try:
        read: Any = pd.read_parquet(path)
    except Exception as error:  # whatever pyarrow makes of a torn file
        return None, [f"cannot be read, so it is not shown: {tidy(str(error).splitlines()[0])[:200]}"]
    lacking = [column for column in kind.needed if column not in read]
    if lacking:
        return None, [f"has no column {', '.join(lacking)}, so it is not shown"]
    empty = [column for column in (*kind.text, *kind.numbers) if column not in read]
    if empty:
        problems.append(f"has no column {', '.join(empty)}: shown empty")
    if len(read) > MOST_ROWS:
        problems.append(f"{len(read):,} rows, of which the first {MOST_ROWS:,} are shown")
        read = read.head(MOST_ROWS)
    made: Any = pd.DataFrame(index=range(len(read)))
    for column in kind.text:
        made[column] = [tidy(v) for v in read[column]] if column in read else ""
    for column in kind.numbers:
        values: Any = read[column].to_numpy() if column in read else float("nan")
        numbers: Any = pd.to_numeric(pd.Series(values, index=made.index), errors="coerce")
        numbers = numbers.astype(float)
        bad = int((numbers.isna() & pd.Series(values, index=made.index).notna()).sum())
        if bad:
            problems.append(f"{bad} of {len(made)} values of {column} are no numbers: shown empty")
        made[column] = numbers
    if name == "history":
        made["benchmark"] = [f"{b}({p})" if p else b for b, p in zip(made["benchmark"], made["params"], strict=True)]
    return made, problems


def _ledger(path: Path, damaged: list[str]) -> list[Row]:
    from odecheck.ledger.build import from_json

    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        damaged.append(f"{path.name} cannot be read, so it is not shown: {tidy(str(error))[:200]}")
        return []


def _selftest(path: Path, damaged: list[str]) -> Mapping[str, Any]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        damaged.append(f"{path.name} cannot be read, so it is not shown: {tidy(str(error))[:200]}")
        return {}
    return made if isinstance(made, dict) else {}
