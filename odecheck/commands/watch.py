"""odecheck watch: verify the ODE solves of a training script's first step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import interrupted, needs_to_write, new_run, refuse
from .look import console, verdict, where_to_look

if TYPE_CHECKING:
    from odecheck.record import Record
    from odecheck.watching.script import Watched


def watch(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="A training script; what follows is its own.")],
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="How many of its training steps.")] = 1,
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="What judging one step may take, of the process.")
    ] = 120.0,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the records as JSON; - for stdout.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Inconclusive is a failure: status 1, not 3.")] = False,
) -> None:
    """Verify the ODE solves that a training script makes, as it makes them.

    The script runs as with `python SCRIPT ...` until an optimizer is about to
    make its first step (or its Nth). Each solve is a line: how far off it and
    its gradients are, what its tolerance promises, and what is wrong with it.

    Exit status 0: nothing is wrong; 1: a promise is broken, or a mistake was
    found; 2: bad input; 3: nothing is wrong that was judged, and something
    could not be judged or decided; 130: interrupted.

    \b
    odecheck watch train.py
    odecheck watch --steps 3 --run runs/watched train.py --epochs 1 --lr 1e-3
    """
    from odecheck.errors import BadInput
    from odecheck.watching.script import watch_script

    folder = run or new_run()
    try:
        _check(script)
        needs_to_write(folder, "--run")
        needs_to_write(json or None, "--json", folder=False)
        if (folder / "run.json").exists():
            raise BadInput(
                f"the folder {folder} already holds a run", "the same --run twice", "--run with another folder"
            )
        seen = watch_script(script, context.args, steps=steps, budget=budget)
        if not seen.steps:
            raise _nothing_seen(script, seen)
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        interrupted(None)
    records = _kept(seen, script, context.args, folder, json)
    _report(seen, records, folder, strict=strict, stderr=json == "-")
    from odecheck.records.summary import exit_status

    raise typer.Exit(1 if seen.failure else exit_status(records, strict=strict))


watch.context_settings = {  # pyright: ignore[reportFunctionMemberAccess]
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}


def _check(script: Path) -> None:
    """Raises BadInput where there is no such script."""
    from odecheck.errors import BadInput

    if not script.is_file():
        raise BadInput(
            f"there is no script {script}",
            "another folder, or an option of odecheck after the script",
            "odecheck watch [its options] path/to/train.py [the script's arguments]",
        )


def _nothing_seen(script: Path, seen: Watched) -> Exception:
    from odecheck.errors import BadInput

    last = seen.failure.strip().splitlines()[-1] if seen.failure else ""
    return BadInput(
        f"{script} made no ODE solve" + (f" before it raised {last}\n{seen.failure}" if last else ""),
        "arguments of the script that are missing" if last else "a solver of another library, or of another process",
        "the arguments of the script after its name; torchdiffeq, torchdyn, torchode and odecheck.odeint are watched",
    )


def _kept(seen: Watched, script: Path, arguments: list[str], folder: Path, json: str | None) -> list[Record]:
    """The records of every step, which are kept in the run folder."""
    from dataclasses import asdict, replace

    from odecheck.records.export import write_json
    from odecheck.records.run_folder import Store, about

    records: list[Record] = []
    for i, step in enumerate(seen.steps, start=1):
        one = step.check()
        records += [replace(r, problem=f"step {i}: {r.problem}") for r in one] if len(seen.steps) > 1 else one
    pairs = list(dict.fromkeys((r.subject, r.problem) for r in records))
    cases = {"claims": sorted({r.claim for r in records}), "pairs": [[*pair, ""] for pair in pairs]}
    facts = about(cases, seed=0, watched={"script": str(script), "arguments": arguments})
    store = Store.open(folder, facts, resume=False)
    for record in records:
        store.add(record)
    store.finish(records)
    if json:
        write_json(json, map(asdict, records), facts)
    return records


def _report(seen: Watched, records: list[Record], folder: Path, *, strict: bool, stderr: bool) -> None:
    """Print the verdict, every step, what to type next, and the verdict again."""
    from odecheck.foreign import for_terminal
    from odecheck.records.summary import Headline, headline

    out, file = console(stderr=stderr), sys.stderr if stderr else sys.stdout
    found = headline(records, strict=strict)
    if seen.failure:
        found = Headline("ERROR", f"the script ended with an exception; of its solves {found.text}", "bold red")
    verdict(out, found)
    for i, step in enumerate(seen.steps, start=1):
        print(f"\nstep {i} of {len(seen.steps)}" if len(seen.steps) > 1 else "", file=file)
        print(for_terminal(step), file=file)
    if seen.failure:
        print(for_terminal(f"\nthe script ended with an exception:\n{seen.failure}"), file=file)
    print(file=file)
    where_to_look(out, records, folder, strict)
    verdict(out, found)
