"""A run: trials of one task one after another, in a folder that survives an interruption."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch

from odecheck.errors import BadInput
from odecheck.ledger.training_claims import TUNING, best_rate
from odecheck.records.run_folder import RunFolder, about
from odecheck.records.table import write_table

from .at_once import ALONE, Crew
from .loop import EVERY, Trial
from .rows import Row, Unit, frame, read
from .search import draws
from .task import Data, Setting, Task

# of run.json: what its trainings have in common
BELONGS = ("cases", "versions", "device", "threads")


def trials(
    task: Task,
    setting: Setting,
    models: Sequence[str],
    optimizers: Sequence[str],
    seeds: Sequence[int],
    rates: Sequence[float] = (),
) -> list[Trial]:
    """Every model with every optimizer, learning rate and seed; the seed outermost, so that pairs are run together.

    Args:
        task: what is trained.
        setting: one of the task's.
        models: names that the task knows.
        optimizers: names that have a rate in the setting.
        seeds: of parameters, batches and noise.
        rates: learning rates; by default the setting's one for each optimizer.

    Raises:
        BadInput: for an unknown model or optimizer.
    """
    for model in models:
        if model not in task.models:
            raise BadInput(
                f"task {task.name} has no model {model!r}",
                "a misspelt name",
                f"--model with one of: {', '.join(task.models)}",
            )
    for optimizer in optimizers:
        if optimizer not in setting.rate:
            raise BadInput(
                f"there is no optimizer {optimizer!r}",
                "a misspelt name",
                f"--optimizer with one of: {', '.join(setting.rate)}",
            )
    return [
        Trial(task, setting, model, optimizer, seed, rate)
        for seed in seeds
        for model in models
        for optimizer in optimizers
        for rate in (rates or (None,))
    ]


def tuning(
    task: Task,
    setting: Setting,
    models: Sequence[str],
    optimizers: Sequence[str],
    count: int,
    rates: Sequence[float],
    search: int = 0,
) -> list[Trial]:
    """Every model with every optimizer at every learning rate, on `count` seeds that choose among the rates.

    Args:
        task: as for `trials`.
        setting: as for `trials`.
        models: as for `trials`.
        optimizers: as for `trials`.
        count: of seeds.
        rates: the grid of learning rates.
        search: in place of the grid so many draws of all knobs of each optimizer (`odecheck.training.search`).

    Raises:
        BadInput: as `trials`, and where there is nothing to choose from.
    """
    if search:
        if count < 1 or search < 2 or rates:
            raise BadInput(
                f"{count} seeds choose among {search} draws and the learning rates {list(rates)}",
                "a search without seeds, of one draw, or beside a grid of rates",
                "--tune 2 --search 8, without --rate",
            )
        trials(task, setting, models, optimizers, [])  # refuses unknown names
        return [
            Trial(task, setting, model, optimizer, seed, drawn.rate, drawn.knobs)
            for seed in range(TUNING, TUNING + count)
            for model in models
            for optimizer in optimizers
            for drawn in draws(optimizer, search)
        ]
    if count < 1 or len(rates) < 2:
        raise BadInput(
            f"{count} seeds choose among the learning rates {list(rates)}",
            "no grid of rates to choose from",
            "--tune 2 --rate 0.01,0.03,0.1",
        )
    return trials(task, setting, models, optimizers, range(TUNING, TUNING + count), rates)


def at_best_rates(tried: Sequence[Trial], folder: Path, seeds: Sequence[int]) -> list[Trial]:
    """The models and optimizers that were tried, each at its best rate or draw, on other seeds; the seed outermost.

    Args:
        tried: the trials of `tuning`, which are finished.
        folder: of their run.
        seeds: other ones than those that chose.

    Raises:
        BadInput: a model and an optimizer were stopped at every rate.
    """
    rows, best = read(folder), dict[tuple[str, str], Trial]()
    rows = rows[rows["seed"] >= TUNING]
    for trial in tried:
        pair = trial.model, trial.optimizer
        mine = rows[(rows["model"] == pair[0]) & (rows["optimizer"] == pair[1])]
        if pair in best:
            continue
        rate = best_rate(mine)
        if rate is None:
            said = next((message for message in mine["message"] if message), "")
            raise BadInput(
                f"every training of {pair[0]} with {pair[1]} was stopped ({said})",
                "learning rates that are all too large",
                "--rate with smaller ones",
            )
        best[pair] = next(one for one in tried if (one.model, one.optimizer, one.learning_rate) == (*pair, rate))
    return [replace(chosen, seed=seed) for seed in seeds for chosen in best.values()]


def run(
    todo: Sequence[Trial],
    data: Data,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    every: float = EVERY,
    fixed: Mapping[str, Any] | None = None,
    cap: float = math.inf,
    most: float = math.inf,
    crew: Crew = ALONE,
) -> Iterator[Row]:
    """Train each of the trials, which are of one task and setting, and write training.parquet after each.

    More models, optimizers, rates and seeds may be added to a run; run.json has the last command.

    Args:
        todo: at least one trial.
        data: the task's rows at the setting.
        folder: of the run.
        resume: whether to go on with the run that the folder holds.
        device: torch's name of the device that computes.
        every: seconds of training between two checkpoints.
        fixed: what else was fixed before the run began, by name, as its design: run.json has it, and a run that goes on
            has to have the same.
        cap: CPU seconds after which one of the trials is stopped.
        most: CPU seconds of all trainings of the run together, evaluations aside, after which it is interrupted.
        crew: who trains: this process, several, or a cluster.

    Yields:
        The rows of the trials, as they come.

    Raises:
        BadInput: a folder that holds a run when resume is False, or one of another task, setting, design, device or
            versions; a run that has taken `most`.
    """
    first = todo[0]
    facts = about({"task": first.task.name, "setting": _plain(first.setting), **(fixed or {})}, seed=first.seed)
    facts |= {"device": device, "threads": torch.get_num_threads(), "trials": [trial.name for trial in todo]}
    opened = RunFolder.open(folder, facts, resume=resume, belongs=BELONGS, same=_same, onwards=_onwards)
    try:
        spent = _spent(folder, most)
        for trial, row in crew.train(todo, data, folder / "units", device, every, cap):
            if row is None:
                write(folder)
                continue
            yield row
            spent[trial.name] = max(spent.get(trial.name, 0.0), row.cpu_seconds)
            if sum(spent.values()) > most:
                raise _over(most, sum(spent.values()))
        opened.finish()
    finally:
        opened.close()


def _spent(folder: Path, most: float) -> dict[str, float]:
    """CPU seconds of each training of a run, as far as their rows go; none where nobody asks."""
    if math.isinf(most):
        return {}
    units = (Unit(path) for path in sorted((folder / "units").glob("*")))
    return {unit.folder.name: max((row.cpu_seconds for row in unit.rows), default=0.0) for unit in units}


def _over(most: float, spent: float) -> BadInput:
    return BadInput(
        f"the trainings of this run have taken {spent:.0f} CPU s, and its cap is {most:g}",
        "more trainings than that is enough for, or a machine that is slower than the one they were counted on",
        "the command with a larger --run-cap and --resume: nothing that has ended is trained again",
    )


def write(folder: Path) -> None:
    """training.parquet, of all units that have ended."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    units = [Unit(path) for path in sorted((folder / "units").glob("*"))]
    tables = [frame(unit.rows) for unit in units if unit.ended]
    write_table(folder / "training.parquet", pd.concat(tables, ignore_index=True), compression="zstd")


def _plain(setting: Setting) -> Any:
    return json.loads(json.dumps(asdict(replace(setting, size=dict(setting.size), rate=dict(setting.rate)))))


def _same(folder: Path, known: dict[str, Any], facts: dict[str, Any]) -> None:
    for what in BELONGS:
        if differ := _differences(known.get(what), facts[what], what):
            raise BadInput(
                f"the run in {folder} began with another {'; '.join(differ)}",
                "another task, setting or library than when the run began",
                f"the command as before ({' '.join(known['command'])}), or another --run",
            )


def _onwards(known: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run to which trials were added."""
    trials = [*known["trials"], *(name for name in facts["trials"] if name not in known["trials"])]
    return {**known, "command": [part for part in facts["command"] if part != "--resume"], "trials": trials}


def _differences(before: Any, now: Any, name: str) -> list[str]:
    """What differs between two values of JSON, one by one: "epochs: 300, and not 3"."""
    if isinstance(before, dict) and isinstance(now, dict):
        a, b = cast(dict[str, Any], before), cast(dict[str, Any], now)
        return [one for key in {**a, **b} for one in _differences(a.get(key), b.get(key), str(key))]
    return [] if before == now else [f"{name}: {before}, and not {now}"]
