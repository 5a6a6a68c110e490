"""odecheck reproduce: a refuted row as a script to paste into a bug report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import last_run, needs_to_write, refuse, say, tell_damage


def reproduce(
    row: Annotated[str, typer.Argument(help="A row's short id, from verify or from conformance.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder, or one with a table of conformance; by default the last run."),
    ] = None,
    library: Annotated[
        str,
        typer.Option(metavar="FILE", help="What declares a library of your own, as odecheck conformance took it."),
    ] = "",
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the script there.")] = None,
) -> None:
    """Print a script that shows a defect with the library alone: it exits with 1 where the defect is there.

    \b
    odecheck reproduce 3f9a1c
    odecheck reproduce 3f9a1c0b --run reports --write bug.py && python bug.py
    odecheck reproduce 3f9a1c0b --library odecheck_library.py
    """
    from odecheck.conformance.find import found
    from odecheck.errors import BadInput, NotApplicable, Unsupported
    from odecheck.records.run_folder import read_facts, read_records
    from odecheck.reproduce import script

    try:
        needs_to_write(write, "--write", folder=False)
        folder = run or last_run("verify", "conformance")
        at = found(row, folder, library)
        text = script(
            at.claim,
            at.subject,
            at.problem,
            observed=at.observed,
            expected=at.expected,
            bar=at.bar,
            worst=at.worst,
            library=at.library,
        )
        if (folder / "run.json").exists():
            tell_damage(folder, read_facts(folder), read_records(folder)[1])
    except (BadInput, Unsupported, NotApplicable) as refused:
        refuse(refused)
    if write:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(text, encoding="utf-8")
    else:
        say(text, nl=False)
