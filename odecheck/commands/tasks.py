"""odecheck tasks: the training tasks, their settings, and how to get their data."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import refuse, say


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
            say(f"{one.name:<18}{one.summary}")
            say(f"{'':18}settings: {', '.join(s.name for s in one.settings)}; source: {one.source}")
        say("\nodecheck tasks TASK for its figures, odecheck train TASK to train")
        return
    try:
        one = package.find(task)
    except BadInput as refused:
        refuse(refused)
    say(f"{one.name}: {one.summary}\nsource: {one.source}\nmodels: {', '.join(one.models)}")
    if one.data:
        say(f"data: {one.data}")
    for s in one.settings:
        rates = ", ".join(f"{name} {rate:g}" for name, rate in s.rate.items())
        clip = "" if s.clip is None else f", gradient clipped at {s.clip:g}"
        say(
            f"\n{s.name}{' (default)' if s is one.settings[0] else ''}: {s.epochs} epochs, batch {s.batch}, "
            f"dopri5 at {s.tolerance:g}{clip}"
        )
        say(f"  hidden sizes: {', '.join(f'{name} {size}' for name, size in s.size.items())}")
        say(f"  learning rates: {rates}")
        say(f"  data: {'from a data directory' if s.needs_data else 'embedded or generated'}")
