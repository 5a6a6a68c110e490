"""odecheck selftest --quick: a small selection of everything, in about three minutes of one core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from odecheck.runner.progress import Progress

from .common import INTERRUPTED, needs_to_write, refuse, say
from .look import console, following, verdict
from .options import none_ignored

if TYPE_CHECKING:
    from odecheck.records.summary import Headline


def quickly(
    context: typer.Context, unused: Sequence[str], seed: int, workers: int, run: Path, resume: bool
) -> NoReturn:
    """Judge the selection, say the verdict, and exit: 0 when all is as it has to be, 1 otherwise.

    Args:
        context: of the command.
        unused: parameters that would be ignored.
        seed: of what is drawn.
        workers: processes at a time.
        run: where the journal is kept.
        resume: whether to go on with it.
    """
    from odecheck.errors import BadInput
    from odecheck.selftest import quick

    selection = quick.Selection()
    try:
        none_ignored(context, unused, "--quick chooses by itself, and writes no report", "the same without --quick")
        if find_spec("hypothesis") is None:
            raise BadInput(
                "problems are drawn with hypothesis, which is not installed",
                "odecheck was installed without what its tests need",
                'pip install "odecheck[test]"',
            )
        needs_to_write(run, "--run")
        costs = selection.costs(seed)
        bar = Progress(len(costs), costs=costs)
        with bar:
            rows = quick.run(selection, run / "quick.jsonl", seed, workers=workers, resume=resume, progress=bar.step)
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        say(f"Interrupted. To go on, type the same command with: --run {run} --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _report(rows)
    raise typer.Exit(1 if quick.bad(rows) else 0)


def _report(rows: Sequence[dict[str, Any]]) -> None:
    """The verdict, what each family gave, what is not as it has to be, and the verdict again."""
    from rich.table import Table

    from odecheck.selftest import quick

    spent = os.times()
    took = f"{(spent.user + spent.system + spent.children_user + spent.children_system) / 60:.1f} minutes of one core"
    out, found = console(), headline(rows)
    verdict(out, found, took)
    lines = Table(box=None)
    for name in ("", "wrong and refuted", "right and not refuted"):
        lines.add_column(name)
    for line in quick.table(rows):
        lines.add_row(*line)
    out.print(lines)
    for trouble in quick.bad(rows):
        say(trouble)
    following(out, "Next, how far odecheck can be trusted", "odecheck selftest")
    verdict(out, found, took)


def headline(rows: Sequence[dict[str, Any]]) -> Headline:
    """The verdict in a sentence."""
    from odecheck.records.summary import Headline
    from odecheck.selftest.quick import WRONG

    wrong = [row for row in rows if row["what"] == WRONG]
    bad = sum(not row["ok"] for row in rows)
    if bad:
        return Headline("NOT AS EXPECTED", f"{bad:,} of {len(rows):,} answers of odecheck itself are wrong", "bold red")
    text = f"{len(wrong):,} wrong subjects are refuted, {len(rows) - len(wrong):,} right answers are not"
    return Headline("AS EXPECTED", text, "bold green")
