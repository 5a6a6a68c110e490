"""odecheck conformance: judge solver libraries, every version and method of them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odecheck.runner.progress import Progress

from .common import Workers, cores, interrupted, needs_to_write, number, refuse, run_folder, say
from .look import console, following, verdict
from .options import Badge, Claims, NoCache, none_ignored
from .scheduler import Scheduler, cluster

# of a run's facts those that are not about a machine or a folder
FACTS = ("versions", "seed", "commit", "started", "finished", "conformance")

# lines about rows that are inconclusive
SHOWN = 20

PEERS = 'pip install "odecheck[peers]"'

if TYPE_CHECKING:
    from odecheck.conformance.libraries import Version
    from odecheck.conformance.matrix import Row
    from odecheck.records.summary import Headline


def conformance(
    context: typer.Context,
    libraries: Annotated[
        list[str] | None,
        typer.Argument(metavar="LIBRARY", help="NAME, NAME==VERSION, or a file or module of yours; none: all of them."),
    ] = None,
    checkout: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A checkout of a library, as one more release; alone without LIBRARY."),
    ] = None,
    claim: Claims = None,
    engine: Annotated[str, typer.Option(metavar="TEXT", help="Only engines whose name contains this.")] = "",
    method: Annotated[str, typer.Option(metavar="TEXT", help="Only methods whose name contains this.")] = "",
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    workers: Workers = 0,
    scheduler: Scheduler = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="What one row may take.")] = 120.0,
    memory: Annotated[float, typer.Option(metavar="GIB", help="What one process may take (Linux).")] = 6.0,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where releases are installed; by default $ODECHECK_CACHE.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --run, or with the last one.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write conformance.{md,json,parquet} into this folder.")
    ] = None,
    badge: Badge = None,
    no_cache: NoCache = False,
) -> None:
    """Judge solver libraries.

    Exit status 0: as expected; 1: not; 2: bad input; 3: nothing unexpected, and
    a row is inconclusive; 130: interrupted, and --resume goes on.

    Each library is run in processes of its own: one that crashes, hangs, takes
    all memory or prints costs its own rows and no others. Releases of
    torchdiffeq are installed side by side into a cache folder, once. A checkout
    is run where it lies, under its commit; nothing is installed.

    A library of your own is a file or module with a LIBRARY that declares it.

    \b
    odecheck conformance
    odecheck conformance odecheck_library.py --badge badge.json
    odecheck conformance torchode diffrax
    odecheck conformance torchdiffeq==0.2.5 --checkout ../torchdiffeq
    odecheck conformance torchdiffeq==0.2.5 --method dopri5 --claim SOL-5
    odecheck conformance --write reports --run runs/all
    odecheck conformance --run runs/all --resume
    """
    import os

    from odecheck_reference.on_disk import default_folder as default_references

    from odecheck.conformance import libraries as known
    from odecheck.conformance.checkout import checkout as of_checkout
    from odecheck.conformance.matrix import matrix
    from odecheck.conformance.render import states
    from odecheck.conformance.render import write as write_all
    from odecheck.engines.release import default_folder
    from odecheck.errors import BadInput
    from odecheck.records.badge import badge as made_badge
    from odecheck.records.badge import write_badge
    from odecheck.records.run_folder import read_facts
    from odecheck.runner.limits import GIB, Limits

    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the libraries, in the processes that are started from here
    where = cache or default_folder()
    folder = None
    asked: dict[str, object] = {"libraries": libraries or [], "claim": claim or [], "engine": engine, "method": method}
    asked["problem"] = problem
    try:
        limits = Limits(timeout, memory * GIB)
        if scheduler is not None:
            none_ignored(context, ["workers"], "the cluster has its own", "--scheduler or --workers")
        folder = run_folder(run, resume, "conformance")
        needs_to_write(write, "--write")
        needs_to_write(badge, "--badge", folder=False)
        more = [of_checkout(checkout)] if checkout else []
        asked["checkout"] = more[0].release if more else ""
        found = [*more, *(known.versions(libraries or [], where) if libraries or not more else ())]
        _some_are_there(found)
        whole = matrix(found, where, claim=claim or [], engine=engine, method=method, problem=problem)
        if not whole.units and not whole.notices:
            raise BadInput("nothing is left to be run", "names that exclude each other", "fewer of the options")
        progress = Progress(sum(len(unit.claims) for unit in whole.units))
        with progress, cluster(scheduler) as executor:
            rows = whole.run(
                executor=executor,
                references=None if no_cache else default_references(),
                workers=workers or cores(),
                limits=limits,
                folder=folder,
                resume=resume,
                progress=progress,
                facts={"conformance": asked},
            )
    except (BadInput, ValueError) as refused:
        refuse(refused)
    except KeyboardInterrupt:
        interrupted(folder)
    facts = {name: value for name, value in read_facts(folder).items() if name in FACTS}
    for place in dict.fromkeys((folder, *((write,) if write else ()))):
        write_all(place, rows, facts)
    if badge is not None:
        named = ", ".join(dict.fromkeys(row.library for row in rows if row.claim)) if libraries else ""
        write_badge(str(badge), made_badge(states(rows), f"odecheck: {named}" if named else "odecheck"))
    _report(rows, folder, libraries or [])


def _some_are_there(found: list[Version]) -> None:
    """Raises BadInput where libraries were named and none of them can be run."""
    from odecheck.errors import BadInput

    if not found or not all(one.named and one.trouble for one in found):
        return
    fixes = [one.fix for one in found]
    if any(not (one.library.side_by_side or one.library.installed or one.library.install) for one in found):
        fixes.insert(0, PEERS)
    raise BadInput(
        "; ".join(one.trouble for one in found),
        "a library that odecheck does not bring along, another version of it, or no network",
        ", or ".join(dict.fromkeys(fixes)),
    )


def _report(rows: list[Row], folder: Path, libraries: Sequence[str] = ()) -> None:
    from odecheck.conformance.matrix import unexpected
    from odecheck.foreign import first_line, one_line
    from odecheck.judge import Verdict
    from odecheck.records.summary import UNDECIDED

    news = unexpected(rows)
    undecided = [row for row in rows if row.verdict == Verdict.INCONCLUSIVE]
    wrong = [row for row in news if row.claim or row.verdict != "unsupported"]
    out, found = console(), _headline(rows, news, undecided)
    verdict(out, found)
    for row in (row for row in news if row.claim):
        known = f"\n  known to fail: {row.expected_failure}" if row.expected_failure else ""
        say(
            f"[{row.row}] {row.library} {row.version}, {row.engine}, {row.method}: {row.claim} {row.verdict} on "
            f"{row.problem}: observed {row.observed:.6g}, expected {row.expected:.6g} ± {row.bar:.2g}\n"
            f"  {first_line(row.message)}{known}"
        )
    for row in rows:
        if not row.claim:
            say(f"{row.library}: {row.message}")
    for row in undecided[:SHOWN]:
        say(
            f"[{row.row}] {row.library} {row.version}, {row.engine}, {row.method}: {row.claim} inconclusive on "
            f"{row.problem}; {one_line(row.message.strip().rpartition(chr(10))[2])}"
        )
    if len(undecided) > SHOWN:
        say(f"and {len(undecided) - SHOWN} more that are inconclusive: {folder / 'conformance.md'}")
    counts = Counter(row.verdict for row in rows)
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    say(f"{number(len(rows), 'row')} ({told}), {len(news)} not expected; {folder / 'conformance.md'}")
    place = shlex.quote(str(folder))
    if refuted := next((row for row in news if row.verdict == Verdict.REFUTED), None):
        own = "".join(f" --library {shlex.quote(text)}" for text in _own(libraries, refuted.library))
        following(out, "Next, a script that shows the first", f"odecheck reproduce {refuted.row} --run {place}{own}")
    else:
        following(out, "Next, the page of it", f"odecheck report {place}")
    verdict(out, found)
    raise typer.Exit(1 if wrong else 2 if news else UNDECIDED if undecided else 0)


def _own(typed: Sequence[str], library: str) -> list[str]:
    """How the file or module was typed that declares this library, if one does."""
    from odecheck.engines.found import added

    return [text for text in typed if text in added() and added()[text].name == library]


def _headline(rows: list[Row], news: list[Row], undecided: list[Row]) -> Headline:
    """The verdict on all libraries, in a sentence."""
    from odecheck.judge import Verdict
    from odecheck.records.summary import Headline

    judged = [row for row in rows if row.verdict in (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE)]
    if wrong := [row for row in news if row.claim]:
        word = "REFUTED" if any(row.verdict == Verdict.REFUTED for row in wrong) else "NOT AS EXPECTED"
        return Headline(word, f"{len(wrong):,} of {number(len(rows), 'row')} are not as expected", "bold red")
    if news:
        return Headline("NOT ASKED", f"{number(len(news), 'library version')} could not be asked", "bold red")
    if undecided:
        told = f"{len(undecided):,} of {number(len(rows), 'row')} are inconclusive, none is unexpected"
        return Headline("UNDECIDED", told, "bold yellow")
    if not judged:
        return Headline("NOTHING JUDGED", f"none of {number(len(rows), 'row')} was judged", "bold yellow")
    known = sum(bool(row.expected_failure) for row in judged)
    failures = f", {known:,} of them known failures" if known else ""
    return Headline("AS EXPECTED", f"all {len(judged):,} verdicts are as expected{failures}", "bold green")
