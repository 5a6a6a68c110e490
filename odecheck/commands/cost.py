"""odecheck cost: what solves, gradients and second derivatives cost, at equal achieved error."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odecheck.errors import TABLES
from odecheck.runner.progress import Progress

from .common import check_device, interrupted, named, needs, needs_to_write, number, refuse, run_folder, say
from .options import Device, choice, split
from .scheduler import Scheduler, cluster

if TYPE_CHECKING:
    from odecheck_reference import Problem

    from odecheck.runner.pool import Job
    from odecheck.subject import Subject


class Dtype(StrEnum):
    """Of the numbers that are computed with."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


SHOWN = (
    "engine",
    "method",
    "quantity",
    "nfe_forward",
    "nfe_backward",
    "accepted_forward",
    "accepted_backward",
    "saved_bytes",
    "peak_bytes",
    "cpu_seconds",
)


def cost(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="As for odecheck verify; none: every engine on shipped problems."),
    ] = None,
    quantity: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="solution, gradient, hvp; commas, or repeated. None: all of them."),
    ] = None,
    error: Annotated[float, typer.Option(help="The achieved error at which costs are compared.")] = 1e-6,
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    subject: Annotated[str, typer.Option(metavar="TEXT", help="Only subjects whose name contains this.")] = "",
    rungs: Annotated[int, typer.Option(min=1, max=50, help="Refinements of each subject.")] = 6,
    repeat: Annotated[
        int, typer.Option(min=0, max=100_000, help="Rounds for the seconds; 0: counts and bytes only.")
    ] = 5,
    device: Device = "cpu",
    dtype: Annotated[str, choice("--dtype", of=Dtype, what="number type", help="Of all numbers.")] = "float64",
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --run, or with the last one; what failed is tried again."),
    ] = False,
    scheduler: Scheduler = None,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write cost.md, cost.parquet, cost.svg and cost.png there.")
    ] = None,
) -> None:
    """Measure evaluations, steps, bytes and seconds on a ladder of tolerances; compare at equal achieved error.

    Exit status 0: measured; 1: a subject of yours failed at every tolerance;
    2: bad input.

    Writes cost.parquet: a row for each subject, problem, quantity and tolerance,
    with the error that was achieved. Costs at one error are read off between the
    two tolerances that enclose it. What an engine cannot tell is left empty.
    Of a cluster one worker measures all subjects of one problem and quantity:
    with --nthreads 1 for each, seconds are of one computer and of nothing else.

    \b
    odecheck cost
    odecheck cost --problem "heavy ball" --quantity gradient --error 1e-5
    odecheck cost --repeat 0 --run runs/cost
    odecheck cost --write reports
    odecheck cost my_package.my_model:subjects
    odecheck cost --device cuda --dtype float32
    odecheck cost --scheduler tcp://host:8786
    """
    needs("tables", *TABLES)
    import torch

    from odecheck.cost import QUANTITIES
    from odecheck.cost import run_folder as kept
    from odecheck.errors import BadInput
    from odecheck.records.lock import Lock
    from odecheck.records.run_folder import read_facts
    from odecheck.report import cost_page
    from odecheck.report.static import needs_figures
    from odecheck.runner.pool import Job

    asked: Any = tuple(split(quantity) or QUANTITIES)
    folder = None
    try:
        _check(asked, QUANTITIES, device, error)
        folder = run_folder(run, resume, "cost")
        needs_to_write(write, "--write")
        if write is not None:
            needs_figures()
        work, absent = _work(targets or [], subject, problem)
        how = {"rungs": rungs, "repeat": repeat, "device": device, "dtype": dtype}
        with cluster(scheduler) as executor:
            rows = kept.begin(folder, work, {**how, "error": error}, resume=resume)
            todo = [(at, found, what) for at, found in work for what in asked]
            progress = Progress(sum(len(found) for _, found, _ in todo) * rungs)
            with progress, Lock(folder):
                jobs: list[Job] = []
                for at, found, what in todo:
                    parts = kept.parts(rows, at.name, what, len(found), rungs)
                    left = [one for one, part in zip(found, parts, strict=True) if not part]
                    progress.step(f"{at.name} {what}", (len(found) - len(left)) * rungs)
                    if left:
                        asking = partial(_measured, **{**how, "dtype": getattr(torch, dtype)})
                        jobs.append(Job(_Part(at.name, what, parts), asking, (left, at, what)))
                for part, new in _results(jobs, executor, progress):
                    rows = kept.put(folder, rows, part.kept, new)
        rows = kept.in_order(folder, rows, [(at.name, what) for at, _, what in todo])
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        interrupted(folder)
    _show(rows, error, folder)
    for name in absent:
        say(f"{name} is not installed: {_how_to_install(name)}", err=True)
    if write is not None:
        say(str(cost_page.write(rows, write, error, read_facts(folder))))
    states = {row["state"] for row in rows}
    raise typer.Exit(int(_failed(rows) if targets else "failed" in states and "measured" not in states))


@dataclass(frozen=True, eq=False)
class _Part:
    """One problem and quantity, and the rows that are there already."""

    problem: str
    quantity: str
    kept: list[list[dict[str, Any]]]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.problem}"


def _measured(found: list[Subject], at: Problem, what: Any, **how: Any) -> list[dict[str, Any]]:
    """The rows of one problem and quantity, with one thread."""
    import torch

    from odecheck.cost import work_precision
    from odecheck.runner.imports import without_end

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with without_end():
            return work_precision(found, at, (what,), **how)
    finally:
        torch.set_num_threads(threads)


def _results(
    jobs: list[Job], executor: Executor | None, progress: Progress
) -> Iterator[tuple[_Part, list[dict[str, Any]]]]:
    """What jobs measure, as it comes: here one after another, or on a cluster."""
    from odecheck.runner.elsewhere import in_executor, result_of

    if executor is None:
        for job in jobs:
            yield job.key, job.work(*job.arguments, progress=progress.step)
        return
    for part, found in in_executor(executor, jobs):
        new = result_of(str(part), found)
        progress.step(str(part), len(new))
        yield part, new


def _failed(rows: list[dict[str, Any]]) -> bool:
    """Whether something could be measured at no tolerance."""
    series: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("problem", "engine", "method", "quantity"))
        series.setdefault(key, set()).add(row["state"])
    return any("failed" in states and "measured" not in states for states in series.values())


def _check(asked: tuple[str, ...], known: tuple[str, ...], device: str, error: float) -> None:
    from odecheck.errors import BadInput

    strange = [name for name in asked if name not in known]
    if strange:
        raise BadInput(f"there is no quantity {strange[0]!r}", "a misspelt name", f"--quantity {' or '.join(known)}")
    if not 0 < error < float("inf"):
        raise BadInput(f"the error is {error:g}", "0, or an exponent without its number", "--error 1e-6")
    check_device(device)


def _work(targets: list[str], subject: str, problem: str) -> tuple[list[tuple[Problem, list[Subject]]], list[str]]:
    """Problems, each with its subjects, and libraries left out that are not here. Raises BadInput when nothing is left.

    What is brought along is measured as it is: where its library is missing, its rows say so.
    """
    from odecheck.cost import presets as shipped
    from odecheck.cost.precision import library_name
    from odecheck.errors import BadInput
    from odecheck.runner.targets import pairs

    if targets:
        found, missing = pairs(targets=targets, tier="quick", state=None, times=None), ()
    else:
        found, missing = [(s, p) for p in shipped.problems() for s in shipped.settings()], shipped.missing()
    asked = [(s, p) for s, p in found if subject.lower() in s.name.lower() and problem.lower() in p.name.lower()]
    work: dict[str, tuple[Problem, list[Subject]]] = {}
    absent: list[str] = []
    for one, at in asked:
        library = library_name(one.engine)
        if library in missing:
            absent += [library] if library not in absent else []
        else:
            work.setdefault(at.name, (at, []))[1].append(one)
    if not work and absent:
        raise BadInput(
            f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed",
            "odecheck was installed without the libraries that it compares with",
            " and ".join(dict.fromkeys(map(_how_to_install, absent))),
        )
    if not work:
        names = sorted({s.name for s, _ in found}) if subject else []
        names += sorted({p.name for _, p in found}) if problem else []
        raise BadInput(
            f"nothing has {named(subject=subject, problem=problem)}",
            "a misspelt name",
            f"--subject or --problem with a part of one of: {'; '.join(names)}",
        )
    return list(work.values()), absent


def _how_to_install(library: str) -> str:
    from odecheck.engines.found import libraries

    own = next((one.install for one in libraries() if one.name == library), "")
    return own or 'pip install "odecheck[peers]"'


def _show(rows: list[dict[str, Any]], error: float, folder: Path) -> None:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    from odecheck.cost import COLUMNS, at_equal_error

    frame: Any = pd.DataFrame(rows, columns=list(COLUMNS))
    equal = at_equal_error(frame, error)
    for name, part in equal.groupby("problem", sort=False):
        say(f"\n{name}, at an achieved error of {error:g} (read off between two tolerances):")
        known = part.dropna(subset=["achieved_error"])[list(SHOWN)].rename(columns={"cpu_seconds": "cpu_ms"})
        known["cpu_ms"] *= 1e3
        say(known.to_string(index=False, na_rep="-", float_format="{:.4g}".format))
    for state in ("unsupported", "failed"):
        for one in frame[frame["state"] == state][["engine", "message"]].drop_duplicates().to_dict("records"):
            say(f"{state}: {one['engine']}: {one['message']}")
    say(f"\n{number(len(frame), 'row')} in {folder / 'cost.parquet'}")
