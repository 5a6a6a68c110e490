"""odecheck selftest: how far odecheck itself can be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odecheck.runner.progress import Progress

from .common import INTERRUPTED, MOST_WORKERS, needs_to_write, number, refuse, say
from .look import console, markdown, verdict
from .options import choice, none_ignored, split
from .scheduler import Scheduler, cluster
from .selftest_quick import quickly

if TYPE_CHECKING:
    from odecheck.records.outcomes import Headline
    from odecheck.selftest.journal import Row

MOST = 10_000_000


class Part(StrEnum):
    """Of the self-test."""

    MUTANTS = "mutants"
    KINDS = "kinds"
    FALSE_ALARMS = "false-alarms"
    BARS = "bars"
    HARD = "hard"
    PLANTED = "planted"
    DISCERNMENT = "discernment"


PARTS = tuple(map(str, Part))
# the option that says how much of a part is done
AMOUNTS = {
    "mutants": Part.MUTANTS,
    "rows": Part.FALSE_ALARMS,
    "problems": Part.BARS,
    "hard": Part.HARD,
    "planted": Part.PLANTED,
}


def selftest(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small selection of everything, three minutes of one core.")
    ] = False,
    part: Annotated[
        list[str] | None, choice("--part", of=Part, what="part", help="Only these; commas, or repeated.")
    ] = None,
    mutants: Annotated[
        int, typer.Option(metavar="N", min=0, max=MOST, help="Mutants drawn from the source; 0: all.")
    ] = 60,
    rows: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST, help="Rows that come to a verdict, of correct subjects.")
    ] = 500,
    problems: Annotated[int, typer.Option(metavar="N", min=1, max=MOST, help="Problems with a known truth.")] = 100,
    hard: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST, help="Hard problems, of all families in turn.")
    ] = 39,
    planted: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST, help="Drawn problems on which defects are planted.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Of everything that is drawn.")] = 0,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=MOST_WORKERS, help="Processes.")] = 1,
    scheduler: Scheduler = None,
    run: Annotated[Path, typer.Option(metavar="DIR", help="Where the journals are kept.")] = Path("runs/selftest"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the journals in --run.")] = False,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Report what the journals in --run hold, and judge nothing more.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write selftest.md, .json, .parquet and .svg there.")
    ] = None,
) -> None:
    """Measure odecheck itself. Exit status 0: all explained; 1: a survivor, a false alarm, a bar too narrow.

    \b
    mutants       odecheck's source with one mistake at a time, and every part of
                  its engines' answers with each kind of mistake: some claim has to
                  refute each of them
    kinds         wrong subjects from tables of where a mistake is made, what it
                  is and how large: many outputs, float32, starts, steps, memories
    false-alarms  correct subjects on drawn problems: no claim may refute any
    bars          problems whose truth is known: it has to be inside the bars
    hard          problems with features that all solvers step over, jumps, huge
                  and tiny scales: inside the bars, or refused
    planted       defects of twice the size that a record says it would have seen
    discernment   the smallest relative defect refuted, next to other tests

    \b
    odecheck selftest --quick
    odecheck selftest
    odecheck selftest --part mutants --mutants 0 --workers 2
    odecheck selftest --part false-alarms --rows 20000 --seed 1 --run runs/alarms
    odecheck selftest --part false-alarms --rows 20000 --seed 1 --run runs/alarms --resume
    odecheck selftest --resume --write reports
    odecheck selftest --part hard --hard 10000 --scheduler tcp://host:8786
    odecheck selftest --so-far --rows 20000 --problems 5000 --write reports
    """
    from odecheck.errors import BadInput
    from odecheck.records.run_folder import about
    from odecheck.selftest import journal
    from odecheck.selftest import markdown as words
    from odecheck.selftest import summary as report

    chosen = tuple(split(part) or PARTS)
    if quick:
        quickly(context, ("part", *AMOUNTS, "so_far", "write", "scheduler"), seed, workers, run, resume)
    try:
        none_ignored(
            context,
            [name for name, of in AMOUNTS.items() if of not in chosen],
            f"--part is {','.join(chosen)}",
            f"the same without it, or with --part {','.join((*chosen, '…'))}",
        )
        if so_far:
            unused = ["part", "resume", "workers", "scheduler"]
            none_ignored(context, unused, "--so-far judges nothing more", "the same without it, or without --so-far")
        if chosen == (Part.MUTANTS,):
            none_ignored(context, ["scheduler"], "mutants are copies of this process", "--workers N")
        elif scheduler is not None and Part.MUTANTS not in chosen:
            none_ignored(context, ["workers"], "the cluster has its own", "--scheduler or --workers")
        facts = about({}, seed=seed)
        del facts["command"]  # it names folders of this machine
        facts |= {"so_far": so_far, "parts": {}}
        _needs(() if so_far else chosen, run, write)
        found: dict[str, list[Row]] = {}
        with cluster(None if so_far else scheduler) as executor:
            how = _How(seed, workers, executor, resume)
            for name in PARTS:
                path, begun = run / f"{name}.jsonl", {"seed": seed}
                given = {Part.MUTANTS: mutants, Part.FALSE_ALARMS: rows, Part.BARS: problems, Part.HARD: hard}
                amount = (given | {Part.PLANTED: planted}).get(Part(name), 0)
                if so_far:
                    found[name], begun = journal.so_far(path)
                elif name in chosen:
                    found[name] = _part(name, amount, path, how)
                if found.get(name):
                    drawn = run / "drawn.json"
                    facts |= json.loads(drawn.read_text()) if name == "mutants" and drawn.exists() else {}
                    facts["parts"][name] = {**begun, "asked": amount, **journal.spent(path)}
                else:
                    found.pop(name, None)
        if not found:
            raise BadInput(
                f"nothing is judged in {run}", "another folder, or nothing yet", "odecheck selftest --run DIR"
            )
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        say(f"Interrupted. To go on, type the same command with: --run {run} --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    made = report.summary(found, facts)
    if write:
        report.write(found, made, write)
    trouble = report.bad(made)
    out, came_out = console(), _headline(trouble, found)
    verdict(out, came_out)
    markdown(out, words.unfolded(words.to_markdown(made, found)))
    for line in trouble:
        say(line, err=True)
    verdict(out, came_out)
    raise typer.Exit(1 if trouble else 0)


def _headline(trouble: Sequence[str], parts: Iterable[str]) -> Headline:
    from odecheck.records.outcomes import Headline

    if trouble:
        return Headline("NOT AS EXPECTED", f"{number(len(trouble), 'result')} to be explained", "bold red")
    return Headline("AS EXPECTED", f"nothing is left to be explained in {', '.join(parts)}", "bold green")


def _needs(parts: Sequence[str], run: Path, write: Path | None) -> None:
    """Raises BadInput, before the work of hours, for what is not installed, and for folders that cannot be written."""
    from odecheck.errors import BadInput, needs_tables
    from odecheck.report.static import needs_figures

    if {"false-alarms", "planted"} & set(parts) and find_spec("hypothesis") is None:
        raise BadInput(
            "problems are drawn with hypothesis, which is not installed",
            "odecheck was installed without what its tests need",
            'pip install "odecheck[test]", or --part mutants --part bars --part discernment',
        )
    needs_to_write(run, "--run")
    needs_to_write(write, "--write")
    if write is not None:
        needs_figures()
        needs_tables()


@dataclass(frozen=True)
class _How:
    """What is drawn from, and who does the work: processes, or a cluster for all but mutants."""

    seed: int
    workers: int
    executor: Executor | None
    resume: bool

    @property
    def through(self) -> dict[str, Any]:
        """Of `journal.through`."""
        return {"workers": self.workers, "executor": self.executor}

    @property
    def batches(self) -> int:
        """As many are drawn before it is seen whether they are enough."""
        return 4 * self.workers if self.executor is None else 16


def _part(name: str, amount: int, path: Path, how: _How) -> list[Row]:
    """The rows of one part."""
    from odecheck.records.commit import own_text
    from odecheck.selftest import bars, by_kinds, discernment, hard, journal, planted

    seed, facts = how.seed, {"part": name, "seed": how.seed}
    if name == "mutants":
        return _mutants(amount, path, how, facts)
    if name == "false-alarms":
        return _alarms(amount, path, how, facts)
    at = {"bars": (bars, seed * 1_000_000), "hard": (hard, seed * 1_000_000), "planted": (planted, seed)}
    if name in at:
        work, first = at[name]
        pieces = work.pieces(first, amount)
    else:
        work = by_kinds if name == "kinds" else discernment
        pieces = work.pieces()
    if name == "kinds":
        facts |= {"source": own_text()}
    bar = Progress(len(pieces))
    with bar:
        rows = journal.through(pieces, work.judged, path, facts, **how.through, resume=how.resume, progress=bar.step)
    return [row for piece in rows.values() for row in piece]


def _alarms(wanted: int, path: Path, how: _How, facts: dict[str, Any]) -> list[Row]:
    """Batches until enough rows came to a verdict; all that a resumed journal has count."""
    from odecheck.selftest import false_alarms, journal

    bar = Progress(wanted)
    with bar, journal.Journal(path, facts, resume=how.resume) as kept:
        done = len(kept.known)
    rows: list[Row] = []
    judged = 0
    with bar:
        while True:
            pieces = false_alarms.pieces(how.seed, 0, done)
            found = journal.through(pieces, false_alarms.judged, path, facts, **how.through, resume=True)
            rows = [row for piece in found.values() for row in piece]
            before, judged = judged, sum(row["verdict"] in false_alarms.JUDGED for row in rows)
            bar.step(f"{judged} rows in {done} batches", judged - before)
            if judged >= wanted:
                return rows
            done += how.batches


def _mutants(count: int, path: Path, how: _How, facts: dict[str, Any]) -> list[Row]:
    """Judge the right source, draw mutants, judge them."""
    from odecheck.records.commit import own_text
    from odecheck.selftest import battery, journal, mutation, named, rooms

    named.check(battery.CLAIMS)
    facts |= {"source": own_text()}
    problems = battery.problems()
    right = path.parent / "right"
    with journal.Journal(path, facts, resume=how.resume) as kept:
        bar = Progress(len(battery.units(problems)))
        with bar:
            base, runs = mutation.baseline(problems, right, workers=how.workers, progress=bar.step)
        runs.install()
        sources, reached, unreached = mutation.drawn(how.seed, base, count or 10**9)
        told = {
            "drawn_from": reached,
            "unreached": sum(unreached.values()),
            "unreached_by_module": unreached,
            "rooms_left_out": rooms.left_out(base.rooms()),
        }
        (path.parent / "drawn.json").write_text(json.dumps(told))
        bar = Progress(len(sources))
        with bar:
            return mutation.run(kept, problems, base, sources, workers=how.workers, progress=bar.step)
