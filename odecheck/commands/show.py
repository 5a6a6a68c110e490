"""odecheck show: the whole story of one verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import last_run, refuse


def show(
    record: Annotated[
        str, typer.Argument(help="Six characters from the table, or words of claim, subject and problem.")
    ],
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder; by default the last one in runs/.")
    ] = None,
) -> None:
    """The whole story of one verdict, with the Python that runs it again.

    \b
    odecheck show 3f9a1c
    odecheck show "NODE-2 pendulum adjoint" --run runs/full
    """
    from ..claims import ALL
    from ..door import BadInput
    from ..store import read
    from ..story import find, story
    from ..summary import identifier

    try:
        folder = run or last_run()
        facts, records = read(folder)
        found = find(records, record)
        if not found:
            raise BadInput(
                f"no record in {folder} is called {record!r}",
                "another run folder, or a misspelt word",
                "odecheck show NODE-2, or six characters from the output of verify",
            )
    except BadInput as refused:
        refuse(refused)
    if len(found) > 1:
        for one in found:
            typer.echo(f"{identifier(one)}  {one.claim:<9}{one.verdict:<15}{one.problem}; {one.subject}")
        return
    statement = next((c.text for c in ALL if c.id == found[0].claim), "")
    typer.echo(story(found[0], facts, statement))
