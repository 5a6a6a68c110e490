"""The rows of a training run, written as they come, and the state to go on from, whatever ends the process.

run.json                 facts: versions, machine, commit, task, setting
training.parquet         the rows of all units that have ended
units/NAME/rows.jsonl    the rows of a unit that is under way, one a line
units/NAME/rows.parquet  the rows of a unit that has ended
units/NAME/checkpoint.pt the last state: model, optimizer, random numbers, times
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch

from odecheck.errors import BadInput
from odecheck.foreign import literal, one_line
from odecheck.records.journal import CHECKSUM, Journal, regular
from odecheck.records.table import read_table, write_table

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One step, or one evaluation on the test rows.

    Counts of a step are of all its solves together; of an evaluation they are means over its batches, and there is no
    backward solve. NaN where nothing was measured.

    Attributes:
        task: its name.
        model: its name.
        optimizer: its name.
        learning_rate: of the optimizer.
        seed: of parameters, batches and noise.
        parameters: how many are trained.
        step: from 1; an evaluation has that of the step before it.
        epoch: from 1.
        split: "train" for a step, "test" for an evaluation.
        loss: mean over the rows.
        accuracy: share of right answers.
        nfe_forward: evaluations of all fields.
        nfe_backward: the same in the backward pass.
        accepted_forward: steps of the solver.
        rejected_forward: steps that were too long.
        accepted_backward: steps in the backward pass.
        rejected_backward: steps in the backward pass that were too long.
        cpu_seconds: of training until here, without evaluations.
        wall_seconds: the same on the clock.
        peak_bytes: of live tensors in the forward and backward pass, where that was looked at.
        message: what went wrong, empty where nothing did.
        end_time: at which the solve ends, after the step, where that is trained.
        knobs: of the optimizer, in words, where they are others than its default ones.
        overshoot: of the position along the solve of an evaluation (`odecheck.training.overshoot`).
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
    end_time: float = NAN
    knobs: str = ""
    overshoot: float = NAN


COLUMNS = tuple(f.name for f in fields(Row))
LATER = {
    "end_time": NAN,
    "knobs": "",
    "overshoot": NAN,
}  # columns that tables of former versions have not, and what belongs there
MEASURED = ("cpu_seconds", "wall_seconds", "peak_bytes")  # what differs between two equal runs


def frame(rows: Sequence[Row]) -> Any:
    """The rows as a pandas DataFrame."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def read(folder: str | os.PathLike[str]) -> Any:
    """The rows of a run folder as a DataFrame, trainings under way included.

    Raises:
        BadInput: there are none.
    """
    pd: Any = import_module("pandas")
    units = sorted((Path(folder) / "units").glob("*"))
    tables = [frame(Unit(path).rows) for path in units]
    whole = Path(folder) / "training.parquet"
    if not tables and os.path.lexists(whole):
        read = read_table(whole)
        found = read.frame
        missing = [] if found is None else [name for name in COLUMNS if name not in found and name not in LATER]
        if found is None or read.damaged or missing:
            raise _unreadable(whole, "; ".join(read.damaged) or f"no column {missing[0]}", f"rm {whole}")
        return found.assign(**{name: value for name, value in LATER.items() if name not in found})
    if not tables:
        raise BadInput(f"there are no training rows in {folder}", "another folder", "odecheck train TASK --run DIR")
    return pd.concat(tables, ignore_index=True)


def last(rows: Any) -> Any:
    """One row for each training, of its last step.

    Args:
        rows: a DataFrame with the columns of `Row`.

    Returns:
        A DataFrame of the same columns, evaluations and steps as means over the steps of the training, and
        `test_loss` and `test_accuracy` of its last evaluation. `message` says what ended it, if anything did.
    """
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    key = ["task", "model", "optimizer", "learning_rate", "seed"]
    ends: list[Any] = []
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


def _unreadable(path: Path, said: str, again: str) -> BadInput:
    return BadInput(
        f"{path} cannot be read: {said}",
        "a disk that was full, a copy that was cut off, or another program's file",
        again,
    )


def _trouble(state: Any, name: str) -> str:
    """Why a state is none that a training of this name has left, or nothing."""
    if not isinstance(state, dict) or not {"name", "step", "module", "stepper", "random"} <= set(
        cast("dict[str, Any]", state)
    ):
        return "it is no state of a training"
    found = cast("dict[str, Any]", state)
    stated = found.pop(CHECKSUM, None)
    if stated is not None and stated != state_digest(found):
        return "it is not what was written: it has another checksum"
    if found["name"] != name or not isinstance(found["step"], int):
        return f"it is the state of {literal(found['name'], 100)}, and not of {name}"
    return ""


def state_digest(state: Any) -> str:
    """A checksum of all that a state holds: torch reads a file whose bytes were changed without a word.

    Args:
        state: dictionaries, lists and tuples of tensors and plain values.

    Returns:
        16 hexadecimal digits.
    """
    found = hashlib.sha256()

    def visit(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            found.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            found.update(plain.flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict):
            pairs = cast("dict[Any, Any]", value)
            found.update(f"{{{len(pairs)}".encode())
            for key in pairs:
                visit(key)
                visit(pairs[key])
        elif isinstance(value, list | tuple):
            parts = cast("Sequence[Any]", value)
            found.update(f"[{len(parts)}".encode())
            for part in parts:
                visit(part)
        else:
            found.update(f"{type(value).__name__}{value!r}".encode())

    visit(state)
    return found.hexdigest()[:16]


class Unit:
    """The folder of one training: its rows so far, its journal, its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal = Journal(folder / "rows.jsonl")
        self.ended = (folder / "rows.parquet").exists()
        self.rows = self._ended_rows() if self.ended else self._journalled()

    def _ended_rows(self) -> list[Row]:
        path = self.folder / "rows.parquet"
        read = read_table(path)
        if not read.damaged and set(COLUMNS) - set(LATER) <= set(read.frame.columns) <= set(COLUMNS):
            return [Row(**row) for row in read.frame.to_dict("records")]
        said = "; ".join(read.damaged) or "other columns than a training has"
        raise _unreadable(path, said, f"rm -r {self.folder} to train this one again")

    def _journalled(self) -> list[Row]:
        rows = list[Row]()
        for entry in self._journal.entries:
            try:
                rows.append(Row(**entry))
            except TypeError:  # a row of another version
                break
        return rows

    def checkpoint(self, name: str) -> dict[str, Any] | None:
        """The last state of the training of this name, and the journal cut back to it; None: from the beginning.

        Raises:
            BadInput: there is another state, or one that is not what was written.
        """
        path = self.folder / "checkpoint.pt"
        again = f"rm -r {self.folder} to train this one from its beginning"
        try:
            state: Any = torch.load(regular(path), weights_only=True) if os.path.lexists(path) else None
        except Exception as error:  # whatever torch makes of a file that is none of its own
            raise _unreadable(path, one_line(error, 200), again) from error
        trouble = "" if state is None else _trouble(state, name)
        if trouble:
            raise _unreadable(path, trouble, again)
        self.rows = [row for row in self.rows if state is not None and row.step <= state["step"]]
        if state is not None and len(self.rows) != state.get("rows", len(self.rows)):
            said = "; ".join(self._journal.damaged) or "rows are missing"
            warnings.warn(f"{self.folder}: {said}; this training begins anew", stacklevel=2)
            state, self.rows = None, []
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
            state = {**state, "rows": len(self.rows)}
            torch.save({**state, CHECKSUM: state_digest(state)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "checkpoint.pt")

    def finish(self) -> None:
        """The rows as a table in the place of the journal."""
        write_table(self.folder / "rows.parquet", frame(self.rows))
        self._journal.remove()
        self.ended = True

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
