"""odecheck verify: judge every claim on every subject and problem."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from . import forecast
from .common import Progress, Workers, cores, interrupted, named, needs_to_write, number, refuse, run_folder, say

if TYPE_CHECKING:
    from rich.console import Console

    from odecheck.claim import Claim
    from odecheck.record import Record
    from odecheck.runner.case import Unit
    from odecheck.runner.limits import Limits


def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET", help="package.module:name or path/to/file.py:name; none: the shipped subjects."
        ),
    ] = None,
    tier: Annotated[str, typer.Option(help="Shipped subjects and problems: quick or full.")] = "quick",
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            "--claims",
            metavar="CLAIMS",
            help="Only these: an id, 'NODE-*', a family (HB), a topic (derivatives), all; commas, or repeated.",
        ),
    ] = None,
    subject: Annotated[str, typer.Option(metavar="TEXT", help="Only subjects whose name contains this.")] = "",
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    state: Annotated[str | None, typer.Option(metavar="LIST", help="Example state of a plain module.")] = None,
    times: Annotated[str | None, typer.Option(metavar="LIST", help="Times for a plain module.")] = None,
    rtol: Annotated[float | None, typer.Option(help="Judge the solve at this tolerance: how far off is it?")] = None,
    atol: Annotated[float | None, typer.Option(help="With --rtol; by default rtol / 100.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="With --rtol: an adaptive method.")] = None,
    workers: Workers = 0,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --run, or with the last one.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the records as JSON; - for stdout.")
    ] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a JUnit report.")] = None,
    summary: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also add a summary in Markdown: $GITHUB_STEP_SUMMARY.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Inconclusive is a failure: status 1, not 3.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of random numbers.")] = 0,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="What one case may take; by default any time.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(metavar="GIB", help="What one process may take (Linux); by default any memory.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="What tells most first, for so long; what is left is not asked."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Say what would be asked and what it costs, and stop.")
    ] = False,
) -> None:
    """Judge every claim on every subject and problem.

    Exit status 0: all as expected; 1: something is not; 2: bad input;
    3: nothing is refuted, and something is inconclusive (with a line that says
    what would decide it); 130: interrupted, and --resume goes on. A subject that
    is refused, crashes, exits or hangs has records that say so; all others have
    theirs.


    A target is a Subject, a list of them, (subject, problem) pairs, a function
    that returns these, or an nn.Module with an example state. Subjects with a
    field of their own find their problems in `problems` beside them.

    With --rtol (--atol, --method) the very solve and gradient are judged as
    well, OWN-1 to OWN-4: how far off each is, and whether that is what this
    tolerance promises, beside the claims about the limit of small steps.

    \b
    odecheck verify
    odecheck verify --claim NODE-2 --claim NODE-3 --problem pendulum
    odecheck verify my_package.my_model:subjects --workers 4
    odecheck verify my_model.py:net --state "[[1.0, 0.5]]" --times "[0, 1, 2]"
    odecheck verify my_model.py:net --rtol 1e-3 --atol 1e-6 --claim OWN
    odecheck verify --tier full --run runs/full --junit report.xml --summary "$GITHUB_STEP_SUMMARY"
    odecheck verify --tier full --run runs/full --resume
    """
    from dataclasses import asdict

    from odecheck.errors import BadInput
    from odecheck.records.export import write_json, write_junit, write_summary
    from odecheck.records.run_folder import read_facts
    from odecheck.records.summary import exit_status
    from odecheck.runner.estimate import most_telling_first
    from odecheck.runner.limits import GIB, OutOfTime
    from odecheck.runner.run import Limits, run_units

    begun = time.monotonic()
    source = {"targets": targets or [], "tier": tier, "state": state, "times": times}
    source |= {name: x for name, x in (("rtol", rtol), ("atol", atol), ("method", method)) if x is not None}
    folder = None
    try:
        limits = Limits(timeout, None if memory is None else memory * GIB)
        units = _units(source, claim, subject, problem, limits)
        if plan:
            _planned(units, workers or cores())
        until = _until(budget, begun)
        folder = run_folder(run, resume, "verify")
        for option, file in (("--json", json), ("--junit", junit), ("--summary", summary)):
            needs_to_write(file or None, option, folder=False)
        say(forecast.line(units, workers or cores()), err=True)
        done = Progress(sum(len(unit.claims) for unit in units))
        with done:
            records = run_units(
                units,
                workers=workers or cores(),
                folder=folder,
                resume=resume,
                progress=done,
                seed=seed,
                facts={"source": source},
                limits=limits,
                isolated=True,
                until=until,
                order=(lambda left: left) if budget is None else most_telling_first,
            )
    except (BadInput, ValueError) as refused:
        refuse(refused)
    except OutOfTime:
        refuse(_late(timeout))
    except KeyboardInterrupt:
        interrupted(folder)
    known = read_facts(folder)
    _report(records, folder, strict, stderr=json == "-")
    if summary:
        write_summary(summary, records, known, strict=strict, run=str(folder))
    if json:
        write_json(json, map(asdict, records), known)
    if junit:
        write_junit(junit, records, strict=strict)
    raise typer.Exit(exit_status(records, strict=strict))


def _late(seconds: float | None) -> Exception:
    from odecheck.errors import BadInput

    return BadInput(
        f"the targets have not been read within {seconds:g} seconds",
        "work at the top level of their file, which is done whenever it is imported",
        'if __name__ == "__main__": before that work, or a longer --timeout',
    )


def _units(source: dict[str, Any], claim: list[str] | None, subject: str, problem: str, limits: Limits) -> list[Unit]:
    """The units asked for. Raises BadInput when nothing is left of them."""
    from odecheck.errors import BadInput
    from odecheck.runner.case import Unit, plan
    from odecheck.runner.presets import TIERS, beside
    from odecheck.runner.targets import pairs

    if source["tier"] not in TIERS:
        raise BadInput(f"there is no tier {source['tier']!r}", "a misspelt name", f"--tier {' or --tier '.join(TIERS)}")
    asked = _asked(claim or [], own="rtol" in source)
    found = plan(pairs(**source, limits=limits), None, asked)
    if not source["targets"] and "rtol" not in source:
        shipped = ((one, tuple(c for c in asked if c.id in one.claims)) for one in beside(source["tier"]))
        found += [Unit(one.subject, one.problem, claims) for one, claims in shipped if claims]
    left = [u for u in found if subject.lower() in u.subject.name.lower() and problem.lower() in u.problem.name.lower()]
    if not left:
        names = sorted({u.subject.name for u in found}) + sorted({u.problem.name for u in found})
        raise BadInput(
            f"no case has {named(subject=subject, problem=problem)}",
            "a misspelt name, or one of another tier",
            f"--subject or --problem with a part of one of: {'; '.join(names)}",
        )
    return left


def _asked(words: list[str], *, own: bool) -> tuple[Claim, ...]:
    """The claims that are meant, with those about the user's own tolerance where there is one."""
    from odecheck.claims import ALL
    from odecheck.claims.find import found
    from odecheck.claims.shared.own_tolerance import CLAIMS, OWN

    others = [word for word in words if not (own and word.upper() == OWN.id)]
    chosen = found(others) if others else () if words else ALL
    return (*(CLAIMS if own else ()), *chosen)


def _until(budget: float | None, begun: float) -> Callable[[], bool]:
    """Whether the time is up. Raises BadInput for a time that is none."""
    from odecheck.errors import BadInput

    if budget is not None and not budget > 0:
        raise BadInput(
            f"the budget is {budget}; it has to be positive",
            "0 that was meant as no limit",
            "--budget 60, or no --budget",
        )
    return lambda: budget is not None and time.monotonic() - begun > budget


def _planned(units: list[Unit], workers: int) -> NoReturn:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(forecast.table(units))
    say(f"\n{forecast.line(units, workers)}")
    raise typer.Exit


def _report(records: list[Record], folder: Path, strict: bool, stderr: bool) -> None:
    from rich.console import Console

    from odecheck.foreign import one_line
    from odecheck.records.summary import details, table

    console: Console = Console(stderr=stderr, width=None if sys.stdout.isatty() else 120)
    for line in details(records, strict=strict):
        console.print(line, markup=False, highlight=False, emoji=False)
    console.print(table(records))
    place = one_line(folder)
    console.print(
        f"\n{number(len(records), 'record')} in {place}; odecheck show NAME --run {place}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
