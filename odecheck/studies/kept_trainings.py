"""Training runs that are kept with the reports: of each a table and its facts, without the folder that it was in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from odecheck.errors import BadInput
from odecheck.records.table import write_table

FOLDER = "training"


class Kept(NamedTuple):
    """A run that was kept: its name, what run.json says, and its rows."""

    name: str
    facts: dict[str, Any]
    rows: Any


def tables(folder: Path) -> list[Kept]:
    """The kept runs, by name."""
    pd: Any = import_module("pandas")
    return [
        Kept(path.stem, json.loads(path.with_suffix(".json").read_text()), pd.read_parquet(path))
        for path in sorted((folder / FOLDER).glob("*.parquet"))
    ]


def keep(run: Path, folder: Path) -> None:
    """Copy the table and the facts of a run into the reports.

    Args:
        run: its folder.
        folder: of the reports.

    Raises:
        BadInput: a run that has not ended. One with a design is taken as it is: what it has not decided is said.
    """
    pd: Any = import_module("pandas")
    facts = json.loads((run / "run.json").read_text())
    if facts["finished"] is None and "design" not in facts["cases"]:
        raise BadInput(f"the run in {run} has not ended", "an interruption", "its command again, with --resume")
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    rows = pd.read_parquet(run / "training.parquet")
    write_table(target / f"{run.name}.parquet", rows, compression="zstd")
    facts = {k: v for k, v in facts.items() if k != "trials"} | {"command": shareable(facts["command"])}
    (target / f"{run.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def who(rows: Any) -> str:
    """What the trainings of a table differ in: models, or optimizers."""
    return "model" if rows["model"].nunique() > 1 else "optimizer"


def shareable(command: Sequence[str]) -> list[str]:
    """The command without the folder that it wrote to."""
    return [part for before, part in pairwise(["", *command]) if part != "--run" and before != "--run"]


def geometric(values: Any) -> float:
    """The geometric mean of the finite values, each taken to be 1e-12 at least; nan where none is finite."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(np.exp(np.log(np.maximum(finite, 1e-12)).mean())) if len(finite) else float("nan")
