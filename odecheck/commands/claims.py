"""odecheck claims: what is claimed, and the ledger of verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import INTERRUPTED, MOST_WORKERS, cores, needs_to_write, refuse, say
from .explain import explain


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="CLAIM", help="Only these, as odecheck explain takes and tells them; none: all."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Judge them on drawn problems: the ledger.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --verify: write ledger.md and ledger.json there.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=MOST_WORKERS, help="With --verify: processes; 0: one for each core."),
    ] = None,
) -> None:
    """List every claim: what it states, its source, the verdict expected of a correct subject, what it refutes.

    Exit status of --verify 0: every verdict is one that the claim allows;
    1: one is not, or an error; 2: bad input; 3: one is inconclusive.

    \b
    odecheck claims
    odecheck claims NODE-2
    odecheck claims --verify --write reports
    """
    from odecheck.claims import EVERY
    from odecheck.errors import BadInput, needs_tables

    try:
        for option, given in (("--write", write), ("--workers", workers)):
            if given is not None and not verify:
                raise BadInput(
                    f"{option} needs --verify", "a list of claims needs neither", f"--verify {option} {given}"
                )
        if names and verify:
            raise BadInput(
                f"{' '.join(names)} would be ignored: the ledger has all claims of the papers",
                "a claim that was meant to be judged on its own",
                f"odecheck verify --claim {','.join(names)}, or odecheck claims --verify",
            )
        needs_to_write(write, "--write")
        if write and any((write / "training").glob("*.parquet")):  # the trainings that benchmark claims are judged by
            needs_tables()
    except BadInput as refused:
        refuse(refused)
    if verify:
        from odecheck.ledger import build as ledger
        from odecheck.ledger.status import exit_status

        try:
            rows = ledger.build(workers=workers or cores())
        except KeyboardInterrupt:
            say("Interrupted: nothing was kept.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        for row in rows:
            say(ledger.to_line(row))
        if write:
            ledger.write(rows, write)
        raise typer.Exit(exit_status(rows))

    if names:
        explain(names)
        return
    for one in EVERY:
        say(f"{one.id:<9}{one.text}")
        say(f"{'':9}source: {one.source}")
        where = f", true where {one.when.text}" if one.when else ""
        say(f"{'':9}expected: {one.expect}{where}; a relative defect of {one.resolution:g} is refuted")
        say(f"{'':9}has to refute: {', '.join(mutant.name for mutant in one.mutants)}\n")
