"""odecheck train: train models on a task, and record what every step costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odecheck.errors import TABLES
from odecheck.foreign import literal
from odecheck.runner.progress import Progress

from .common import MOST_WORKERS, check_device, interrupted, needs, refuse, run_folder
from .options import Device, none_ignored, split
from .scheduler import Scheduler, cluster

MOST_SEEDS, MOST_SEED = 10_000, 2**31 - 1

if TYPE_CHECKING:
    from odecheck.errors import BadInput
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
        typer.Option(metavar="N", help="5 for 0 to 4; or seeds by commas, or repeated: 0,3,7.", show_default="1"),
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
    odecheck train digits-conv --optimizer sgd,adam,snopt --tune 2 --rate 0.003,0.01,0.03,0.1 --seeds 5
    odecheck train digits-conv --optimizer sgd,adam,snopt --tune 2 --search 8 --seeds 5
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
    from odecheck.training.loop import Trial, steps_of

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
        chosen = chosen if clip is None else replace(chosen, clip=_positive("--clip", clip))
        if data is not None and not chosen.needs_data:
            raise _no_need_of(data, found, chosen)
        names = found.models if split(model) in ([], ["all"]) else split(model)
        by, of = split(optimizer) or ["adam"], _seeds(",".join(seeds or ["1"]))
        rates = _rates(",".join(rate) if rate else None)
        tried = runs.tuning(found, chosen, names, by, tune, rates, search) if tune or search else []
        todo = runs.trials(found, chosen, names, by, of, [] if tried else rates)  # those of the best rates: as many
        rows = found.load(directory(data), chosen)
        bar = Progress((len(tried) + len(todo)) * steps_of(chosen, rows))

        def go(trials: list[Trial], resume: bool, crew: Crew) -> None:
            for row in runs.run(trials, rows, folder, resume=resume, device=device, every=checkpoint, crew=crew):
                if row.split == "train":
                    bar.step(f"{row.model} {row.optimizer} {row.learning_rate:g}, seed {row.seed}: {row.loss:.4g}")

        with bar, cluster(scheduler) as executor:
            crew = Crew(workers, executor)
            if tried:
                go(tried, resume, crew)
                todo = runs.at_best_rates(tried, folder, of)
            go(todo, resume or bool(tried), crew)
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        interrupted(folder)
    _report(folder)


def _no_need_of(data: Path, task: Task, setting: Setting) -> BadInput:
    from odecheck.errors import BadInput

    others = [one.name for one in task.settings if one.needs_data]
    return BadInput(
        f"the setting {setting.name!r} of {task.name} reads no files, and --data is {data}",
        "data were meant to be read: the default is made up, or embedded",
        f"--setting {others[0]} --data {data}" if others else "the command without --data",
    )


def _seeds(given: str) -> list[int]:
    from odecheck.errors import BadInput

    numbers = _numbers("--seeds", given)
    most = MOST_SEED if "," in given else MOST_SEEDS
    if not all(0 <= n <= most and n == int(n) for n in numbers) or numbers == [0.0]:
        raise BadInput(
            f"--seeds is {literal(given)}",
            f"no seed, or one that is no whole number, or above {most:,}",
            "--seeds 5, or --seeds 0,3,7",
        )
    return [int(n) for n in numbers] if "," in given else list(range(int(numbers[0])))


def _rates(given: str | None) -> list[float]:
    return [] if given is None else [_positive("--rate", rate) for rate in _numbers("--rate", given)]


def _positive(option: str, number: float) -> float:
    from odecheck.errors import BadInput

    if not 0 < number < float("inf"):
        raise BadInput(f"{option} has {number:g}", "a sign, or a zero", f"{option} with numbers above 0")
    return number


def _numbers(option: str, given: str) -> list[float]:
    from odecheck.errors import BadInput

    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise BadInput(
            f"{option} is {literal(given)}", "a word where numbers belong, or none", f"{option} 0,1,2"
        ) from None


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
