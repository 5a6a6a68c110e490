"""odecheck verify: judge every claim on every subject and problem."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from odecheck.runner import server
from odecheck.runner.progress import Progress
from odecheck.runner.tiers import Tier

from . import forecast
from .common import Workers, cores, interrupted, named, needs_to_write, number, refuse, run_folder, say
from .look import console, records_of_a_run
from .options import Badge, Claims, NoCache, choice, given, none_ignored, split
from .resumed import arguments, restored, typed_again
from .scheduler import Scheduler, cluster

# seconds after the end of a budget, in which a case that has been begun may come to its end
LEEWAY = 30.0

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from odecheck.claim import Claim
    from odecheck.record import Record
    from odecheck.runner.case import Unit
    from odecheck.runner.limits import Limits


def verify(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET", help="package.module:name or path/to/file.py:name; none: the shipped subjects."
        ),
    ] = None,
    tier: Annotated[
        str, choice("--tier", of=Tier, what="tier", help="Of the shipped subjects and problems.")
    ] = "quick",
    claim: Claims = None,
    subject: Annotated[str, typer.Option(metavar="TEXT", help="Only subjects whose name contains this.")] = "",
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    state: Annotated[str | None, typer.Option(metavar="LIST", help="Example state of a plain module.")] = None,
    times: Annotated[str | None, typer.Option(metavar="LIST", help="Times for a plain module.")] = None,
    rtol: Annotated[float | None, typer.Option(help="Judge the solve at this tolerance: how far off is it?")] = None,
    atol: Annotated[float | None, typer.Option(help="With --rtol; by default rtol / 100.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="With --rtol: an adaptive method.")] = None,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --run, or with the last one, as it was asked for.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the records as JSON; - for stdout.")
    ] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a JUnit report.")] = None,
    summary: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also add a summary in Markdown: $GITHUB_STEP_SUMMARY.")
    ] = None,
    badge: Badge = None,
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
    first: Annotated[bool, typer.Option("--exitfirst", "-x", help="Stop at the first failure.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The verdict alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for each record as well.")] = False,
    no_cache: NoCache = False,
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Say what would be asked and what it costs, and stop.")
    ] = False,
) -> None:
    """Judge every claim on every subject and problem.

    Exit status 0: all as expected; 1: something is not; 2: bad input;
    3: nothing is refuted, and something is inconclusive (with a line that says
    what would decide it), or there was no time for anything; 130: interrupted,
    and --resume goes on. A subject that is refused, crashes, exits or hangs has
    records that say so; all others have theirs.


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
    odecheck verify --resume
    odecheck verify --tier full --scheduler tcp://host:8786
    """
    if not (targets or resume or plan or scheduler is not None):  # nothing of a user's is asked, so it can begin
        server.begin_early()
    from dataclasses import asdict
    from functools import partial

    from odecheck.errors import BadInput
    from odecheck.records.badge import badge as made_badge
    from odecheck.records.badge import of_records, write_badge
    from odecheck.records.export import write_json, write_junit, write_summary
    from odecheck.records.run_folder import read_facts
    from odecheck.records.summary import exit_status
    from odecheck.runner.limits import OutOfTime

    begun, asked, folder = time.monotonic(), arguments(context), None
    try:
        if quiet and verbose:
            none_ignored(context, ["quiet"], "--verbose says more", "--quiet or --verbose")
        files = {"json": json, "junit": junit, "summary": summary, "badge": badge}
        if plan:
            unused = [*files, "run", "resume", "first", "quiet", "verbose", "strict", "no_cache", "scheduler"]
            none_ignored(context, unused, "--plan asks nothing and stops", "the same without it, or without --plan")
        if scheduler is not None:
            none_ignored(context, ["workers"], "the cluster has its own", "--scheduler or --workers")
        if resume:
            folder = run_folder(run, True, "verify")
            asked = restored(context, folder, read_facts(folder))
            say(f"going on with {typed_again(asked)}", err=True)
        _needs_some_time(budget)
        units = _units(context, asked)
        if plan:
            _planned(units, workers or cores(), budget)
        folder = folder or run_folder(run, False, "verify")
        for option, file in files.items():
            needs_to_write(file or None, f"--{option}", folder=False)
        say(forecast.line(units, workers or cores()), err=True)
        run_on = partial(_run, resume=resume, first=first, budget=budget, begun=begun, no_cache=no_cache)
        with cluster(scheduler) as executor:
            records = run_on(units, asked, folder, workers or cores(), executor=executor)
    except (BadInput, ValueError) as refused:
        refuse(refused)
    except OutOfTime:
        refuse(_late(asked["timeout"]))
    except KeyboardInterrupt:
        interrupted(folder)
    known, strict = read_facts(folder), bool(asked["strict"])
    took = f"{number(len(records), 'case')} in {time.monotonic() - begun:.0f} s"
    loud = {"quiet": quiet, "verbose": verbose, "stderr": json == "-"}
    records_of_a_run(records, folder, strict=strict, took=took, **loud)
    if summary:
        write_summary(summary, records, known, strict=strict, run=str(folder))
    if json:
        write_json(json, map(asdict, records), known)
    if junit:
        write_junit(junit, records, strict=strict)
    if badge is not None:
        write_badge(str(badge), made_badge(of_records(records, strict=strict)))
    raise typer.Exit(exit_status(records, strict=strict))


def _run(
    units: list[Unit],
    asked: dict[str, Any],
    folder: Path,
    workers: int,
    *,
    resume: bool,
    first: bool,
    budget: float | None,
    begun: float,
    no_cache: bool,
    executor: Executor | None,
) -> list[Record]:
    """Judge the units, with a bar that goes by what each case costs."""
    from odecheck_reference.on_disk import default_folder

    from odecheck.records.run_folder import read_records
    from odecheck.records.summary import outcome
    from odecheck.runner.case import Key
    from odecheck.runner.estimate import costs, most_telling_first
    from odecheck.runner.run import run_units

    failed: list[Record] = []
    until = _until(budget, begun, lambda: first and bool(failed))
    known = {record.key for record in read_records(folder)[0]} if resume else set[Key]()
    left = {key: cost for key, cost in costs(units).items() if key not in known}
    with Progress(len(left), costs=left) as bar:

        def judged(record: Record) -> None:
            bar(record)
            if outcome(record, strict=bool(asked["strict"])) == "failed":
                failed.append(record)

        return run_units(
            units,
            executor=executor,
            workers=workers,
            folder=folder,
            resume=resume,
            progress=judged,
            seed=asked["seed"],
            facts={"source": _source(asked), "arguments": asked},
            limits=_limits(asked, None if budget is None else budget - (time.monotonic() - begun)),
            isolated=True,
            until=until,
            order=(lambda left: left) if budget is None else most_telling_first,
            references=None if no_cache else default_folder(),
        )


def _limits(asked: dict[str, Any], left: float | None = None) -> Limits:
    from odecheck.runner.limits import GIB, Limits

    until = None if left is None else time.time() + left + LEEWAY
    return Limits(asked["timeout"], None if asked["memory"] is None else asked["memory"] * GIB, until=until)


def _source(asked: dict[str, Any]) -> dict[str, Any]:
    """What `odecheck.pairs` takes."""
    own = {name: asked[name] for name in ("rtol", "atol", "method") if asked[name] is not None}
    always = {name: asked[name] for name in ("tier", "state", "times")}
    return {"targets": asked["targets"] or [], **always, **own}


def _late(seconds: float | None) -> Exception:
    from odecheck.errors import BadInput

    return BadInput(
        f"the targets have not been read within {seconds:g} seconds",
        "work at the top level of their file, which is done whenever it is imported",
        'if __name__ == "__main__": before that work, or a longer --timeout',
    )


def _units(context: typer.Context, asked: dict[str, Any]) -> list[Unit]:
    """The units asked for. Raises BadInput when nothing is left of them, or an option is of no use to them."""
    from odecheck.errors import BadInput
    from odecheck.runner.case import Unit, plan
    from odecheck.runner.presets import beside, problems
    from odecheck.runner.targets import pairs

    source, subject, problem = _source(asked), asked["subject"], asked["problem"]
    claims = _asked(split(asked["claim"]), own="rtol" in source)
    found = plan(pairs(**source, limits=_limits(asked)), None, claims)
    own = source["targets"] and given(context, "tier")
    if own and not {u.problem.name for u in found} & {one.name for one in problems(asked["tier"])}:
        none_ignored(context, ["tier"], "the target brings its own problems", "the same without --tier")
    if not source["targets"] and "rtol" not in source:
        shipped = ((one, tuple(c for c in claims if c.id in one.claims)) for one in beside(asked["tier"]))
        found += [Unit(one.subject, one.problem, mine) for one, mine in shipped if mine]
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
    from odecheck.claim import loosely
    from odecheck.claims import ALL
    from odecheck.claims.find import found
    from odecheck.claims.shared.own_tolerance import CLAIMS, OWN

    others = [word for word in words if not (own and loosely(word) == OWN.id)]
    chosen = found(others) if others else () if words else ALL
    return (*(CLAIMS if own else ()), *chosen)


def _needs_some_time(budget: float | None) -> None:
    """Raises BadInput for a budget that is none."""
    from odecheck.errors import BadInput

    if budget is not None and not budget > 0:
        raise BadInput(
            f"the budget is {budget}; it has to be positive",
            "0 that was meant as no limit",
            "--budget 60, or no --budget",
        )


def _until(budget: float | None, begun: float, failed: Callable[[], bool]) -> Callable[[], str]:
    """Why no other case is begun, if so."""
    from odecheck.runner.limits import TIME_IS_UP

    def why() -> str:
        if failed():
            return "something had failed, and --exitfirst stops there"
        return TIME_IS_UP if budget is not None and time.monotonic() - begun > budget else ""

    return why


def _planned(units: list[Unit], workers: int, budget: float | None) -> NoReturn:
    console().print(forecast.table(units, None if budget is None else budget * workers))
    say(f"\n{forecast.line(units, workers)}")
    if budget is not None:
        say(f"asked: how many of the cases are begun within {budget:g} s, if they take as long as that")
    raise typer.Exit
