"""odecheck bench: run the benchmark suite over a range of commits."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odecheck.runner.progress import Progress

from .common import INTERRUPTED, needs_to_write, refuse, say
from .options import choice, none_ignored

if TYPE_CHECKING:
    from odecheck.bench import Suite

CONFIG = Path("asv_bench/asv.conf.json")
QUICK, INIT = "Quick", "init"
# what is of no use to the GPU suite
OF_COMMITS = ("commits", "config", "machine", "select", "at_most", "again", "mode", "constraint")


class Mode(StrEnum):
    """Which environment a commit is run in."""

    HERE = "here"
    ASV = "asv"


def bench(
    context: typer.Context,
    commits: Annotated[
        str, typer.Argument(metavar="RANGE|init", help="A..B with A, or one commit; init: write a suite.")
    ] = "HEAD",
    target: Annotated[
        str, typer.Argument(metavar="[TARGET]", help="With init: what verify takes, my_model.py:net.")
    ] = "",
    config: Annotated[Path, typer.Option(metavar="FILE", help="asv.conf.json of the suite.")] = CONFIG,
    machine: Annotated[str, typer.Option(help="A fixed name for this machine.")] = platform.node() or "machine",
    select: Annotated[str, typer.Option(metavar="REGEX", help="Only benchmarks whose name matches.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Only the quick subset, the classes named Quick….")] = False,
    at_most: Annotated[int, typer.Option(metavar="N", min=0, help="At most N commits, evenly spaced; 0: all.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Run what was run before as well.")] = False,
    mode: Annotated[
        str, choice("--mode", of=Mode, what="mode", help="here: this environment; asv: asv's environments.")
    ] = "here",
    gpu: Annotated[
        Path | None, typer.Option("--gpu", metavar="DIR", help="The GPU suite: gpu.md and gpu.parquet.")
    ] = None,
    constraint: Annotated[Path | None, typer.Option(metavar="FILE", help="Versions for asv's environments.")] = None,
) -> None:
    """Run asv's suite at every commit of a range. Type the same again to go on after an interruption.

    `odecheck bench init TARGET` writes a small suite for a package of your own: the
    evaluations of its solves and gradients, how far off they are, and their CPU time.

    The present environment is the way on a GPU machine: each commit's files are put
    before the installed ones. Results are asv's own; versions, device and load are
    kept beside them in bench.jsonl. odecheck regressions lists what changed.

    \b
    odecheck bench init my_model.py:net
    odecheck bench                          the present commit
    odecheck bench v0.1.0..HEAD --quick
    odecheck bench HEAD~40..HEAD --at-most 10
    odecheck bench HEAD~3..HEAD --select "track_"
    odecheck bench --gpu reports
    odecheck bench HEAD --mode asv --constraint constraints.txt
    """
    from odecheck.errors import BadInput

    if commits == INIT:
        try:
            none_ignored(context, [*OF_COMMITS[2:], "quick", "gpu"], "init runs nothing", "odecheck bench init TARGET")
            _write_suite(target, config)
        except BadInput as refused:
            refuse(refused)
        return
    if target:
        refuse(
            BadInput(f"{target} is behind a range of commits", "one range, A..B, has both ends", "odecheck bench A..B")
        )
    if gpu is not None:
        try:
            none_ignored(context, OF_COMMITS, "the GPU suite is of this checkout", "--gpu DIR, perhaps with --quick")
            gpu_suite(gpu, quick)
        except BadInput as refused:
            refuse(refused)
        return
    from odecheck.bench import Suite, run_commits
    from odecheck.bench.run import run_asv

    pattern = select or (QUICK if quick else "")
    try:
        suite = Suite.load(config)
        if select and quick:
            none_ignored(context, ["quick"], "--select says which benchmarks", "--select or --quick")
        if mode == "asv":
            none_ignored(context, ["at_most", "again"], "--mode asv leaves both to asv", "the same without it")
            span = commits if ".." in commits else f"{commits}^!"
            raise typer.Exit(run_asv(suite, span, machine=machine, bench=pattern, constraint=constraint))
        none_ignored(context, ["constraint"], "--mode here installs nothing", "--mode asv with it, or none")
        found = suite.commits(commits, at_most or None)
        changed = suite.uncommitted()
        if changed:
            shown = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
            say(f"Not in any commit, so not run: changes to {shown} (but for the benchmarks' own files).", err=True)
        progress = Progress(len(found))
        with progress:
            done = run_commits(suite, found, machine=machine, bench=pattern, again=again, progress=progress.step)
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        say("Interrupted. To go on, type the same command.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for one in done:
        state = "ok" if one.ok else "some failed" if one.status == 2 else "asv failed"
        say(f"{one.commit[:8]}  {one.seconds:6.0f} s  {state:12} {suite.subject(one.commit)[:70]}")
        if one.status == 2:
            for name in _failed(suite, machine, one.commit):
                say(f"    {name}")
        if one.status not in (0, 2):
            say("\n".join(f"    {line}" for line in one.output.splitlines()[-8:]))
    say(f"\nodecheck regressions {commits} --config {config} --machine {machine}")
    raise typer.Exit(int(any(one.status not in (0, 2) for one in done)))


def _write_suite(target: str, config: Path) -> None:
    """A suite for a package of the user's own, and what to type next. Raises BadInput as `write_suite` does."""
    from odecheck.bench.solves import write_suite

    made = write_suite(target, config)
    for file in made.files:
        say(f"wrote {file}")
    at = ", ".join("its own tolerance" if rtol is None else f"{rtol:g}" for rtol in made.tolerances)
    say(f"{', '.join(made.engines)}, each at {at}: evaluations, errors, CPU time.")
    other = "" if config == CONFIG else f" --config {config}"
    say(f"\nNext: odecheck bench HEAD~5..HEAD{other}, then odecheck regressions HEAD~5..HEAD{other}")


def _failed(suite: Suite, machine: str, commit: str) -> list[str]:
    from odecheck.bench import read_series

    points = ((s.name, point) for s in read_series(suite, machine, [commit]) for point in s.points)
    told = ((name, p.state, f" ({p.message})" if p.message else "") for name, p in points)
    return [f"{state}: {name}{why}" for name, state, why in told if state in ("failed", "time limit")]


def gpu_suite(folder: Path, quick: bool) -> None:
    """The GPU suite. Raises BadInput where there is no GPU: nothing is measured, nothing is written."""
    import torch

    from odecheck.errors import BadInput, needs_tables

    if not torch.cuda.is_available():
        raise BadInput(
            "there is no GPU here, or torch was built without CUDA: nothing is measured, nothing is written",
            "another machine than the one that was meant, or a torch for the CPU",
            "odecheck bench HEAD, which needs none; nvidia-smi shows whether there is a GPU",
        )
    needs_tables()
    needs_to_write(folder, "--gpu")
    from odecheck.bench import gpu
    from odecheck.bench.gpu_plan import Row
    from odecheck.bench.gpu_report import Report

    todo = gpu.jobs(quick=quick)
    report = Report(folder, [job.row().key for job in todo])
    if report.kept:
        say(f"{report.kept} of {len(todo)} rows are in {folder} already.")

    def tell(row: Row) -> None:
        report.add(row)
        took = row.message if row.state == "failed" else f"{row.wall_seconds * 1e3:.2f} ms"
        say(f"{row.size:8}{row.engine:23}{row.quantity:14}{row.variant:11}{row.device:5}{row.dtype:8}{took}")

    try:
        gpu.suite_in_workers(quick, done=report.done, progress=tell)
    except KeyboardInterrupt:
        say(f"Interrupted: the report in {folder} has {len(report.rows)} of {len(todo)} rows.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    say(f"\n{len(report.rows)} rows in {report.write()}")
    if report.wrong:
        say(f"{len(report.wrong)} of them have other results or evaluations than the CPU.", err=True)
        raise typer.Exit(1)
