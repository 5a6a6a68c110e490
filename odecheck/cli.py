"""The command line: verify, claims, show. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from .case import Unit
    from .record import Record

RUNS = Path("runs")
INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point. Exit status 0: all as expected; 1: something is refuted; 2: bad input."""
    app()


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"odecheck {version('odecheck')}")
        raise typer.Exit


@app.callback()
def odecheck(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Is what this neural ODE computes what the mathematics says, and what does it cost?

    \b
    odecheck verify                         the shipped subjects
    odecheck verify my_model.py:subjects    yours
    odecheck claims                         what is claimed, with sources
    odecheck show NODE-2                    the whole story of a verdict
    """


@app.command()
def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET", help="package.module:name or path/to/file.py:name; none: the shipped subjects."
        ),
    ] = None,
    tier: Annotated[str, typer.Option(help="Shipped subjects and problems: quick or full.")] = "quick",
    claim: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this claim; may be repeated.")] = None,
    subject: Annotated[str, typer.Option(metavar="TEXT", help="Only subjects whose name contains this.")] = "",
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    state: Annotated[str | None, typer.Option(metavar="LIST", help="Example state of a plain module.")] = None,
    times: Annotated[str | None, typer.Option(metavar="LIST", help="Times for a plain module.")] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes; 0: one for each core.")] = 0,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --run, or with the last one.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the records as JSON; - for stdout.")
    ] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a JUnit report.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Inconclusive is a failure too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of torch's random numbers.")] = 0,
) -> None:
    """Judge every claim on every subject and problem. Exit status 0: as expected; 1: not; 2: bad input.

    A target is a Subject, a list of them, (subject, problem) pairs, a function
    that returns these, or an nn.Module with an example state. Subjects with a
    field of their own find their problems in `problems` beside them.

    \b
    odecheck verify
    odecheck verify --claim NODE-2 --claim NODE-3 --problem pendulum
    odecheck verify my_package.my_model:subjects --workers 4
    odecheck verify my_model.py:net --state "[[1.0, 0.5]]" --times "[0, 1, 2]"
    odecheck verify --tier full --run runs/full --junit report.xml
    odecheck verify --tier full --run runs/full --resume
    """
    from .door import BadInput
    from .export import write_json, write_junit
    from .run import check
    from .summary import exit_status

    source = {"targets": targets or [], "tier": tier, "state": state, "times": times}
    folder = run or (_last_run() if resume else _new_run())
    try:
        units = _units(source, claim, subject, problem)
        done = _Progress(sum(len(unit.claims) for unit in units))
        with done:
            records = check(
                [(unit.subject, unit.problem) for unit in units],
                claims=units[0].claims,
                workers=workers or _cores(),
                folder=folder,
                resume=resume,
                progress=done,
                seed=seed,
                facts={"source": source},
            )
    except BadInput as refused:
        _refuse(refused)
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. To go on, type the same command with: --run {folder} --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if json:
        from dataclasses import asdict

        from .store import read_facts

        write_json(json, map(asdict, records), read_facts(folder))
    if junit:
        write_junit(junit, records, strict=strict)
    _report(records, folder, strict, stderr=json == "-")
    raise typer.Exit(exit_status(records, strict=strict))


@app.command()
def claims(
    verify: Annotated[bool, typer.Option("--verify", help="Judge them on drawn problems: the ledger.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --verify: write ledger.md and ledger.json there.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes; 0: one for each core.")] = 0,
) -> None:
    """List every claim: what it states, its source, the verdict expected of a correct subject, what it refutes.

    \b
    odecheck claims
    odecheck claims --verify --write reports
    """
    from .claims import ALL

    if verify:
        from . import ledger

        rows = ledger.build(workers=workers or _cores())
        for row in rows:
            typer.echo(ledger.to_line(row))
        if write:
            ledger.write(rows, write)
        return

    for one in ALL:
        typer.echo(f"{one.id:<9}{one.text}")
        typer.echo(f"{'':9}source: {one.source}")
        where = f", true where {one.when.text}" if one.when else ""
        typer.echo(f"{'':9}expected: {one.expect}{where}; a relative defect of {one.resolution:g} is refuted")
        typer.echo(f"{'':9}has to refute: {', '.join(mutant.name for mutant in one.mutants)}\n")


@app.command()
def show(
    record: Annotated[
        str, typer.Argument(help="Six characters from the table, or words of claim, subject and problem.")
    ],
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder; by default the last one in runs/.")
    ] = None,
) -> None:
    """The whole story of one verdict, with the Python that runs it again.

    \b
    odecheck show 3f9a1c
    odecheck show "NODE-2 pendulum adjoint" --run runs/full
    """
    from .claims import ALL
    from .door import BadInput
    from .store import read
    from .story import find, story
    from .summary import identifier

    try:
        folder = run or _last_run()
        facts, records = read(folder)
        found = find(records, record)
        if not found:
            raise BadInput(
                f"no record in {folder} is called {record!r}",
                "another run folder, or a misspelt word",
                "odecheck show NODE-2, or six characters from the output of verify",
            )
    except BadInput as refused:
        _refuse(refused)
    if len(found) > 1:
        for one in found:
            typer.echo(f"{identifier(one)}  {one.claim:<9}{one.verdict:<15}{one.problem}; {one.subject}")
        return
    statement = next((c.text for c in ALL if c.id == found[0].claim), "")
    typer.echo(story(found[0], facts, statement))


def _units(source: dict[str, Any], claim: list[str] | None, subject: str, problem: str) -> list[Unit]:
    """The units asked for. Raises BadInput when nothing is left of them."""
    from .case import plan
    from .claims import ALL
    from .door import BadInput
    from .shipped import TIERS
    from .target import pairs

    if source["tier"] not in TIERS:
        raise BadInput(f"there is no tier {source['tier']!r}", "a misspelt name", f"--tier {' or --tier '.join(TIERS)}")
    found = pairs(**source)
    left = [p for p in found if subject.lower() in p[0].name.lower() and problem.lower() in p[1].name.lower()]
    if not left:
        names = sorted({p[0].name for p in found}) + sorted({p[1].name for p in found})
        raise BadInput(
            f"no case has a subject with {subject!r} and a problem with {problem!r} in its name",
            "a misspelt name, or one of another tier",
            f"--subject or --problem with a part of one of: {'; '.join(names)}",
        )
    return plan(left, None, claim or ALL)


def _refuse(refused: Exception) -> NoReturn:
    typer.echo(f"odecheck: {refused}", err=True)
    raise typer.Exit(2)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _new_run() -> Path:
    from datetime import datetime

    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [RUNS / stamp, *(RUNS / f"{stamp}-{n}" for n in range(2, 100))]
    return next(path for path in names if not path.exists())


def _last_run() -> Path:
    found = sorted(RUNS.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else RUNS / "none"


class _Progress:
    """A bar on the terminal, and nothing where there is none."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=total)

    def __call__(self, record: Record) -> None:
        self.bar.update(self.task, advance=1, description=f"{record.claim} {record.problem}"[:60])

    def __enter__(self) -> None:
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def _report(records: list[Record], folder: Path, strict: bool, stderr: bool) -> None:
    from rich.console import Console

    from .summary import details, table

    console: Console = Console(stderr=stderr, width=None if sys.stdout.isatty() else 120)
    for line in details(records, strict=strict):
        console.print(line, markup=False, highlight=False)
    console.print(table(records))
    console.print(
        f"\n{len(records)} records in {folder}; odecheck show NAME --run {folder}", highlight=False, soft_wrap=True
    )
