"""odecheck claims: what is claimed, and the ledger of verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import cores


def claims(
    verify: Annotated[bool, typer.Option("--verify", help="Judge them on drawn problems: the ledger.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --verify: write ledger.md and ledger.json there.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes; 0: one for each core.")] = 0,
) -> None:
    """List every claim: what it states, its source, the verdict expected of a correct subject, what it refutes.

    \b
    odecheck claims
    odecheck claims --verify --write reports
    """
    from ..claims import ALL

    if verify:
        from .. import ledger

        rows = ledger.build(workers=workers or cores())
        for row in rows:
            typer.echo(ledger.to_line(row))
        if write:
            ledger.write(rows, write)
        return

    for one in ALL:
        typer.echo(f"{one.id:<9}{one.text}")
        typer.echo(f"{'':9}source: {one.source}")
        where = f", true where {one.when.text}" if one.when else ""
        typer.echo(f"{'':9}expected: {one.expect}{where}; a relative defect of {one.resolution:g} is refuted")
        typer.echo(f"{'':9}has to refute: {', '.join(mutant.name for mutant in one.mutants)}\n")
