"""Runs of `odecheck verify`: their records, every column of its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.record import Record
from odecheck.records.facts import changed, kind_of
from odecheck.records.run_folder import frame, read_facts, read_records
from odecheck.records.summary import COLUMNS as OUTCOMES
from odecheck.records.summary import identifier, outcome
from odecheck.report.schemas import Kind, Piece
from odecheck.report.text import tidy

# an outcome in the words of the terminal's table
WORDS: Mapping[str, str] = {kind: title for title, kind, _ in OUTCOMES}


@dataclass(frozen=True)
class Run:
    """A folder with records. name: short, different for every run of a report."""

    name: str
    folder: Path
    facts: Mapping[str, Any]
    records: Sequence[Record]


class Records(Kind):
    """A run that is given twice is two runs: it may be compared with itself."""

    name = "records"
    held = "run.json beside records.parquet or journal.jsonl"
    again = True

    def places(self, folder: Path) -> list[Path]:
        tables = (folder / f"conformance.{kind}" for kind in ("parquet", "json"))
        if any(path.exists() for path in tables) and _of_libraries(folder):
            return []  # the table says the same, and what each library is known to fail
        held = any((folder / name).exists() for name in ("records.parquet", "journal.jsonl"))
        return [folder] if held and (folder / "run.json").exists() else []

    def read(self, place: Path, run: str) -> Piece:
        """Raises BadInput for a run of another version of the format."""
        facts = read_facts(place)
        records, torn = read_records(place)
        trouble = changed(facts)
        damaged = [f"{run}: {tidy(what)}" for what in (*torn, *([f"run.json {trouble}"] if trouble else []))]
        return Piece(Run(run, place, facts, records), run, facts, damaged)

    def joined(self, contents: Sequence[Run]) -> list[Run]:
        return list(contents)


def _of_libraries(folder: Path) -> bool:
    """Whether a run is of `odecheck conformance`; a run.json that cannot be read is said elsewhere."""
    try:
        return kind_of(read_facts(folder)) == "conformance"
    except (BadInput, OSError):
        return False


KIND = Records()


def anchor(number: int, record: Record) -> str:
    """Where the story of a record of the run of this number is found on the page."""
    return f"record-{number}-{identifier(record)}"


def rows(runs: Sequence[Run]) -> Any:
    """The records of runs as a frame: the columns of a record, run, record (its anchor), outcome in words."""
    pd: Any = import_module("pandas")
    return pd.concat([_frame(i, run) for i, run in enumerate(runs)], ignore_index=True)


def _frame(number: int, run: Run) -> Any:
    made = frame(run.records)
    for name in ("claim", "subject", "problem", "message", "source", "expected_failure", "decides"):
        made[name] = [tidy(text) for text in made[name]]
    made.insert(0, "run", run.name)
    made.insert(1, "record", [anchor(number, r) for r in run.records])
    made.insert(2, "outcome", [WORDS[outcome(r)] for r in run.records])
    return made
