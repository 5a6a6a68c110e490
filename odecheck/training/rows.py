"""The rows of a training run, written as they come, and the state to go on from, whatever ends the process.

run.json                 facts: versions, machine, commit, task, setting
training.parquet         the rows of all units that have ended
units/NAME/rows.jsonl    the rows of a unit that is under way, one a line
units/NAME/rows.parquet  the rows of a unit that has ended
units/NAME/checkpoint.pt the last state: model, optimizer, random numbers, times
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from odecheck.errors import BadInput
from odecheck.records.journal import Journal, write_table

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One step, or one evaluation on the test rows (split "test", at the state after that step).

    loss, accuracy: means over the rows. nfe_*, accepted_*, rejected_*: of a step all solves together; of an evaluation
    their mean over its batches, without a backward solve. cpu_seconds, wall_seconds: training until here, without
    evaluations. peak_bytes: live tensors of the forward and backward pass, where it was looked at. message: what went
    wrong, empty where nothing did.
    """

    task: str
    model: str
    optimizer: str
    learning_rate: float
    seed: int
    parameters: int
    step: int
    epoch: int
    split: str
    loss: float
    accuracy: float = NAN
    nfe_forward: float = NAN
    nfe_backward: float = NAN
    accepted_forward: float = NAN
    rejected_forward: float = NAN
    accepted_backward: float = NAN
    rejected_backward: float = NAN
    cpu_seconds: float = NAN
    wall_seconds: float = NAN
    peak_bytes: float = NAN
    message: str = ""


COLUMNS = tuple(f.name for f in fields(Row))
MEASURED = ("cpu_seconds", "wall_seconds", "peak_bytes")  # what differs between two equal runs


def frame(rows: Sequence[Row]) -> Any:
    """The rows as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def read(folder: str | os.PathLike[str]) -> Any:
    """The rows of a run folder as a DataFrame, units under way included. Raises BadInput where there are none."""
    import pandas as pd

    units = sorted((Path(folder) / "units").glob("*"))
    tables = [frame(Unit(path).rows) for path in units]
    if not tables and (Path(folder) / "training.parquet").exists():
        return pd.read_parquet(Path(folder) / "training.parquet")
    if not tables:
        raise BadInput(f"there are no training rows in {folder}", "another folder", "odecheck train TASK --run DIR")
    return pd.concat(tables, ignore_index=True)


def last(rows: Any) -> Any:
    """One row for each training: that of its last step, NFE and steps as means over its steps, with the last test_loss
    and test_accuracy, and the message that ended it, if any."""
    import pandas as pd

    key = ["task", "model", "optimizer", "learning_rate", "seed"]
    ends = []
    for _, mine in rows.groupby(key, sort=False):
        steps = mine[mine["split"] == "train"].sort_values("step")
        tests = mine[mine["split"] == "test"].sort_values("step")
        end = steps.iloc[-1].copy()
        for name in steps.columns:
            if name.startswith(("nfe_", "accepted_", "rejected_")):
                end[name] = steps[name].mean()
        for name in ("loss", "accuracy"):
            end[f"test_{name}"] = tests[name].iloc[-1] if len(tests) else NAN
        ends.append(end)
    return pd.DataFrame(ends).infer_objects()


class Unit:
    """The folder of one training: its rows so far, its journal, its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal = Journal(folder / "rows.jsonl")
        self.ended = (folder / "rows.parquet").exists()
        self.rows = self._ended_rows() if self.ended else self._journalled()

    def _ended_rows(self) -> list[Row]:
        import pandas as pd

        return [Row(**row) for row in pd.read_parquet(self.folder / "rows.parquet").to_dict("records")]

    def _journalled(self) -> list[Row]:
        rows = list[Row]()
        for entry in self._journal.entries:
            try:
                rows.append(Row(**entry))
            except TypeError:  # a row of another version
                break
        return rows

    def checkpoint(self) -> dict[str, Any] | None:
        """The last state, and the journal cut back to it; None: from the beginning."""
        path = self.folder / "checkpoint.pt"
        try:
            state = torch.load(path, weights_only=True) if path.exists() else None
        except Exception as error:  # whatever torch makes of a file that is none of its own
            raise BadInput(
                f"{path} cannot be read: {str(error).splitlines()[0][:200]}",
                "a disk that was full, or another program's file",
                f"rm -r {self.folder} to train this one from its beginning",
            ) from error
        self.rows = [row for row in self.rows if state is not None and row.step <= state["step"]]
        self._journal.rewrite(asdict(row) for row in self.rows)
        return state

    def add(self, row: Row) -> None:
        """Once this returns, the death of this process does not lose the row."""
        self.rows.append(row)
        self._journal.add(asdict(row))

    def save(self, state: dict[str, Any]) -> None:
        """A checkpoint in the place of the last one, whole or not at all."""
        temporary = self.folder / "checkpoint.pt.tmp"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "checkpoint.pt")

    def finish(self) -> None:
        """The rows as a table in the place of the journal."""
        write_table(self.folder / "rows.parquet", frame(self.rows))
        self._journal.remove()
        self.ended = True

    def close(self) -> None:
        self._journal.close()
