"""odecheck tasks: the training tasks, their settings, and how to get their data."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import refuse


def tasks(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="Only this one, with all its settings.")] = None,
) -> None:
    """List the training tasks of the papers, with their sources, settings and models.

    \b
    odecheck tasks
    odecheck tasks digits
    """
    from odecheck import tasks as package
    from odecheck.errors import BadInput

    if task is None:
        for one in package.every().values():
            typer.echo(f"{one.name:<18}{one.summary}")
            typer.echo(f"{'':18}settings: {', '.join(s.name for s in one.settings)}; source: {one.source}")
        typer.echo("\nodecheck tasks TASK for its figures, odecheck train TASK to train")
        return
    try:
        one = package.find(task)
    except BadInput as refused:
        refuse(refused)
    typer.echo(f"{one.name}: {one.summary}\nsource: {one.source}\nmodels: {', '.join(one.models)}")
    if one.data:
        typer.echo(f"data: {one.data}")
    for s in one.settings:
        rates = ", ".join(f"{name} {rate:g}" for name, rate in s.rate.items())
        clip = "" if s.clip is None else f", gradient clipped at {s.clip:g}"
        typer.echo(
            f"\n{s.name}{' (default)' if s is one.settings[0] else ''}: {s.epochs} epochs, batch {s.batch}, "
            f"dopri5 at {s.tolerance:g}{clip}"
        )
        typer.echo(f"  hidden sizes: {', '.join(f'{name} {size}' for name, size in s.size.items())}")
        typer.echo(f"  learning rates: {rates}")
        typer.echo(f"  data: {'from a data directory' if s.needs_data else 'embedded or generated'}")
