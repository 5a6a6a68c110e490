"""odecheck regressions: what changed between benchmarked commits."""

from __future__ import annotations

import platform
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odecheck.runner.progress import Progress

from .bench import CONFIG
from .common import INTERRUPTED, refuse, say
from .options import none_ignored

if TYPE_CHECKING:
    from odecheck.bench import Change, Series, Suite


def regressions(
    context: typer.Context,
    commits: Annotated[str, typer.Argument(metavar="RANGE", help="A..B with A.")] = "HEAD~20..HEAD",
    config: Annotated[Path, typer.Option(metavar="FILE", help="asv.conf.json of the suite.")] = CONFIG,
    machine: Annotated[str, typer.Option(help="The name that the results are kept under.")] = (
        platform.node() or "machine"
    ),
    select: Annotated[str, typer.Option(metavar="TEXT", help="Only series whose name contains this.")] = "",
    paired: Annotated[bool, typer.Option("--paired", help="Time neighbouring commits side by side as well.")] = False,
    timed: Annotated[str, typer.Option(metavar="TEXT", help="With --paired: only timed series with this name.")] = "",
    newest: Annotated[
        int, typer.Option(metavar="N", min=0, help="With --paired: only the newest N pairs; 0: all.")
    ] = 0,
    every: Annotated[bool, typer.Option("--all", help="Also what only advises: times taken one by one.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A missing benchmark is a failure too.")] = False,
    page: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write history.md, .parquet and .svg.")] = None,
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the changes as parquet.")] = None,
) -> None:
    """List what changed, when, by how much and how sure. Exit status 0: nothing became worse; 1: something did.

    Counts and errors are compared exactly, from asv's results, each commit with its
    neighbour, and the newest with the best older level: what crept in. Times and
    other numbers advise. With --paired every timed benchmark is run at both commits
    of each neighbouring pair, in turn, by CPU time, calibrated with null commits;
    such times set the exit status. Thresholds of your own, by regular expressions
    of names, stand in pyproject.toml: \\[tool.odecheck.regressions.thresholds].

    \b
    odecheck regressions HEAD~5..HEAD
    odecheck regressions HEAD~1..HEAD --paired --timed time_gradient
    odecheck regressions v0.1.0..HEAD --all --table changes.parquet
    """
    from odecheck.bench import Suite, changes, exit_status, read_series, thresholds
    from odecheck.bench.changes import in_words, worst_first
    from odecheck.errors import BadInput, needs_tables

    try:
        if page or table:
            needs_tables()
        if not paired:
            none_ignored(context, ["timed", "newest"], "nothing is timed in pairs", "--paired with it, or without it")
        suite = Suite.load(config)
        span = suite.commits(commits)
        series = [s for s in read_series(suite, machine, span) if select.lower() in s.name.lower()]
        own = thresholds.read(suite.repo)
        if not select:
            own.check((one.name for one in series), str(suite.repo / "pyproject.toml"))
        found = changes(series, own)
        said = ""
        if paired:
            slower, said = _paired(suite, [s for s in series if timed in s.name], newest)
            found += slower
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        say("Interrupted: what was timed in pairs is not kept. To begin again, type the same command.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    kept = [c for c in found if every or c.confidence != "advice"]
    for change in worst_first(kept):
        say(in_words(change))
    points = max((len(s.points) for s in series), default=0)
    advice = len(found) - len(kept)
    say(
        f"\n{len(series)} series at {points} of {len(span)} commits: {len(kept)} changes, "
        f"{sum(c.gates for c in kept)} for the worse"
        + (f"; {advice} more only advise (--all)" if advice else "")
        + (f"\n{said}" if said else "")
    )
    if table is not None:
        _write(kept, table)
    if page is not None:
        from odecheck.bench import page as pages
        from odecheck.bench import read_done

        run = [c for c in span if any(p.commit == c for s in series for p in s.points)]
        done = read_done(suite, machine)
        say(str(pages.write(suite, series, kept, done, run, page, machine=machine, said=said)))
    raise typer.Exit(exit_status(kept, strict=strict))


def _paired(suite: Suite, series: list[Series], newest: int) -> tuple[list[Change], str]:
    """Timed series at neighbouring commits, side by side; what was compared, in words."""
    from contextlib import ExitStack

    from odecheck.bench.pairs import PairsError, PairServer, calibrate, compared
    from odecheck.bench.suite import source_folders

    timed = [s for s in series if s.kind == "time"]
    found: list[Change] = []
    floors: list[float] = []
    pairs = 0
    progress = Progress(sum(min(newest or len(s.points), max(0, len(s.points) - 1)) for s in timed))
    with ExitStack() as stack, PairServer() as server, progress:
        folders: dict[str, list[str]] = {}

        def folder(commit: str) -> list[str]:
            if commit not in folders:
                folders[commit] = source_folders(stack.enter_context(suite.checkout(commit)))
            return folders[commit]

        for one in timed:
            measured = [p.commit for p in one.points if p.state == "measured"][-(newest + 1) if newest else 0 :]
            if len(measured) < 2:
                continue
            try:
                index = one.index if one.params else None
                floor = calibrate(server, suite.benchmarks, one.benchmark, folder(measured[0]), index=index)
            except PairsError:
                continue
            floors.append(floor)
            for old, new in pairwise(measured):
                change = compared(server, suite.benchmarks, one, (old, new), (folder(old), folder(new)), floor)
                found += [change] if change else []
                pairs += 1
                progress.step(f"{new[:8]} {one.name}")
    if not floors:
        return found, "CPU times in pairs: no timed series has two of these commits"
    above = f"×{1 + min(floors):.3f} to ×{1 + max(floors):.3f}"
    return found, (
        f"CPU times in pairs: {len(floors)} series, {pairs} pairs of commits; by calibration a difference counts from "
        f"{above} on; {len(found)} found"
    )


def _write(found: list[Change], path: Path) -> None:
    from dataclasses import asdict

    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    from odecheck.bench import Change
    from odecheck.records.table import write_table

    columns = list(Change.__dataclass_fields__)
    frame: Any = pd.DataFrame([asdict(change) for change in found], columns=columns)
    write_table(path, frame)
