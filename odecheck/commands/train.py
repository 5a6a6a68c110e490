"""odecheck train: train models on a task, and record what every step costs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odecheck.errors import TABLES
from odecheck.runner.progress import Progress

from .common import MOST_WORKERS, check_device, interrupted, needs, refuse, run_folder, say
from .numbers import MOST_SEEDS, positive, whole
from .numbers import rates as rates_of
from .numbers import seeds as seeds_of
from .options import Device, none_ignored, split
from .scheduler import Scheduler, cluster

if TYPE_CHECKING:
    from odecheck.errors import BadInput
    from odecheck.ledger.design import Design
    from odecheck.training.rows import Row
    from odecheck.training.task import Setting, Task


def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="One of `odecheck tasks`.")],
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Models; commas, or repeated. None, or all: every one.")
    ] = None,
    optimizer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="sgd, adam, snopt; commas, or repeated.", show_default="adam"),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBERS", help="Learning rates; commas, or repeated. None: the task's."),
    ] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N", help="5 for 0 to 4; or seeds by commas, or repeated: 0,3,7; or 10-27.", show_default="1"
        ),
    ] = None,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Go on seed by seed, at most to the last of --seeds, until every comparison is decided.",
        ),
    ] = False,
    looks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBERS",
            help="With --sequential: after how many seeds is looked; commas. None: 5, 8, 12, … to all.",
        ),
    ] = None,
    tune: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=MOST_SEEDS,
            help="First N seeds more, from 100 on, choose each optimizer's --rate or draw.",
        ),
    ] = 0,
    search: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=MOST_SEEDS,
            help="With --tune: choose among N draws of all knobs of each optimizer, in place of a grid of --rate.",
        ),
    ] = 0,
    draw_cap: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.0, help="With --tune: a training that chooses is stopped after so many CPU s."
        ),
    ] = None,
    run_cap: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="CPU s of all trainings, after which the run is interrupted."),
    ] = None,
    setting: Annotated[str | None, typer.Option(metavar="NAME", help="default, published, …")] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10_000_000, help="In place of the setting's.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(metavar="NORM", help="Largest norm of the gradient, in place of the setting's.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data directory; by default that in ODECHECK_DATA.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --run, or with the last one.")
    ] = False,
    checkpoint: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Training between two checkpoints.")
    ] = 20.0,
    device: Device = "cpu",
    threads: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=MOST_WORKERS, help="Of torch. Numbers repeat bit for bit at the same N."),
    ] = 1,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_WORKERS, help="Trainings at a time, each in a process.")
    ] = 1,
    scheduler: Scheduler = None,
) -> None:
    """Train models on a task. Every step is a row of training.parquet in the run folder, written as it comes.

    A run that was interrupted, or killed, goes on where it was, and gives what it would have given.
    Losses do not depend on --workers or --scheduler; seconds do, where trainings share a computer.
    A training on a cluster comes back when it has ended: one that is given up begins anew.

    \b
    odecheck train digits --model HBNODE
    odecheck train spheres --model NODE,HBNODE,AdamNODE --seeds 5
    odecheck train spheres --sequential --seeds 10-27
    odecheck train digits-conv --optimizer sgd,adam,snopt --tune 2 --rate 0.003,0.01,0.03,0.1 --seeds 5
    odecheck train digits-conv --optimizer sgd,adam,snopt --tune 1 --search 8 --draw-cap 30 --run-cap 900 --seeds 5
    odecheck train digits-end-time --optimizer snopt --seeds 5
    odecheck train spheres --seeds 20 --workers 4
    odecheck train mnist --setting published --data ~/data --device cuda
    odecheck train vibration --setting published --run runs/vibration --resume
    """
    needs("tables", *TABLES)
    from dataclasses import replace

    import torch

    from odecheck import tasks
    from odecheck.errors import BadInput
    from odecheck.tasks.files import directory
    from odecheck.training import runs
    from odecheck.training.at_once import Crew
    from odecheck.training.loop import steps_of
    from odecheck.training.sequential import run_design

    torch.set_num_threads(threads)
    folder = run
    try:
        check_device(device)
        if scheduler is not None:
            none_ignored(context, ["workers"], "the cluster has its own", "--scheduler or --workers")
        folder = run_folder(run, resume, "train")
        found = tasks.find(task)
        chosen = found.setting(setting)
        chosen = chosen if epochs is None else replace(chosen, epochs=epochs)
        chosen = chosen if clip is None else replace(chosen, clip=positive("--clip", clip))
        if data is not None and not chosen.needs_data:
            raise _no_need_of(data, found, chosen)
        names = found.models if split(model) in ([], ["all"]) else split(model)
        by, of = split(optimizer) or ["adam"], seeds_of(",".join(seeds or ["1"]))
        rates = rates_of(",".join(rate) if rate else None)
        design = _design(names, by, rates, of, looks, tune or search, sequential) if sequential or looks else None
        tried = runs.tuning(found, chosen, names, by, tune, rates, search) if tune or search else []
        todo = runs.trials(found, chosen, names, by, of, [] if tried else rates)  # those of the best rates: as many
        rows = found.load(directory(data), chosen)
        bar = Progress((len(tried) + len(todo)) * steps_of(chosen, rows))

        most, cap = (math.inf if one is None else one for one in (run_cap, draw_cap))
        how: Any = {"device": device, "every": checkpoint, "most": most}
        fixed = _fixed(tune, search, draw_cap, by, of)
        if tried and draw_cap is not None:
            say(f"{len(tried)} trainings choose, of at most {cap:g} CPU s each: {len(tried) * cap:g} CPU s", err=True)

        def go(rows: Iterator[Row]) -> None:
            for row in rows:
                if row.split == "train":
                    bar.step(f"{row.model} {row.optimizer} {row.learning_rate:g}, seed {row.seed}: {row.loss:.4g}")

        with bar, cluster(scheduler) as executor:
            how["crew"] = Crew(workers, executor)
            if design is not None:
                go(run_design(found, chosen, names, by[0], rates, design, rows, folder, resume=resume, **how))
            else:
                how["fixed"] = fixed
                if tried:
                    go(runs.run(tried, rows, folder, resume=resume, cap=cap, **how))
                    todo = runs.at_best_rates(tried, folder, of)
                go(runs.run(todo, rows, folder, resume=resume or bool(tried), **how))
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        interrupted(folder)
    _report(folder)
    if design is not None or "design" in fixed:
        _verdicts(folder)


def _design(
    models: Sequence[str],
    optimizers: Sequence[str],
    rates: Sequence[float],
    seeds: Sequence[int],
    looks: list[str] | None,
    tuned: int,
    sequential: bool,
) -> Design:
    from odecheck.errors import BadInput
    from odecheck.training.sequential import design_for

    if tuned or not sequential:
        raise BadInput(
            "--sequential is given with --tune" if sequential else "--looks is given without --sequential",
            "optimizers, which are compared at equal CPU time, or an option that was forgotten",
            "--sequential --seeds 18 --looks 5,8,12,18, without --tune and --search",
        )
    at = whole("--looks", ",".join(looks)) if looks else []
    return design_for(models, optimizers, rates, seeds, at)


def _fixed(
    tune: int, search: int, draw_cap: float | None, optimizers: Sequence[str], seeds: Sequence[int]
) -> dict[str, Any]:
    """What of a choice among knobs is fixed before it begins: how many draws, which seeds, which cap, which margins."""
    from odecheck.errors import BadInput
    from odecheck.ledger.training_claims import TUNING
    from odecheck.training.sequential import design_of_tuning

    if not tune:
        if draw_cap is not None:
            raise BadInput("--draw-cap is given without --tune", "no training that chooses", "--tune 1 --search 8")
        return {}
    choice = {"draws": search, "seeds": list(range(TUNING, TUNING + tune)), "cap": draw_cap}
    design = design_of_tuning(optimizers, seeds)
    return {"tuning": choice, **({} if design is None else {"design": design.facts()})}


def _verdicts(folder: Path) -> None:
    """The comparisons of a run with a design, each at the look that decided it."""
    from odecheck.ledger.training_claims import judge_rows
    from odecheck.records.run_folder import read_facts
    from odecheck.training.rows import read

    for one in judge_rows(read(folder), read_facts(folder)):
        interval = f"{one.ratio:.3g} ({one.low:.3g} … {one.high:.3g})"
        say(f"{one.claim} {one.quantity}, {one.subject} / {one.rival}: {interval}, {one.verdict}, {one.note}")


def _no_need_of(data: Path, task: Task, setting: Setting) -> BadInput:
    from odecheck.errors import BadInput

    others = [one.name for one in task.settings if one.needs_data]
    return BadInput(
        f"the setting {setting.name!r} of {task.name} reads no files, and --data is {data}",
        "data were meant to be read: the default is made up, or embedded",
        f"--setting {others[0]} --data {data}" if others else "the command without --data",
    )


def _report(folder: Path) -> None:
    """The last rows of each model with each optimizer: medians over the seeds."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from odecheck.foreign import one_line
    from odecheck.training.rows import last, read

    rows = read(folder)
    ends = bool(rows["end_time"].notna().any())
    table = Table(
        Column("model", min_width=max(len(one_line(name)) for name in rows["model"])),
        "optimizer",
        "rate",
        "seeds",
        "parameters",
        "loss",
        "test",
        "accuracy",
        "NFE",
        "backward",
        "CPU s",
        *(["end time"] if ends else []),
        "stopped",
        title=Text(one_line(rows["task"].iloc[0])),
    )
    for key, mine in rows.groupby(["model", "optimizer", "learning_rate"], sort=False):
        end = last(mine)
        middle = end.median(numeric_only=True)
        table.add_row(
            *(Text(one_line(name)) for name in key[:2]),
            f"{key[2]:g}",
            str(len(end)),
            f"{middle.parameters:.0f}",
            f"{middle.loss:.4g}",
            f"{middle.test_loss:.4g}",
            f"{middle.test_accuracy:.3g}",
            f"{middle.nfe_forward:.4g}",
            f"{middle.nfe_backward:.4g}",
            f"{middle.cpu_seconds:.3g}",
            *([f"{middle.end_time:.3g}"] if ends else []),
            str(int((end.message != "").sum())),
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    told = f"\nmedians over seeds; {len(rows)} rows in {one_line(folder)}"
    console.print(told, markup=False, highlight=False, soft_wrap=True)
