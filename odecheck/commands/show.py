"""odecheck show: the whole story of one verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import last_run, refuse, say, tell_damage


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
    from odecheck.claims import EVERY
    from odecheck.errors import BadInput
    from odecheck.foreign import one_line
    from odecheck.records.run_folder import command_of, read_facts, read_records
    from odecheck.records.story import find, story
    from odecheck.records.summary import identifier

    try:
        folder = run or last_run("verify", "conformance")
        facts = read_facts(folder)
        records, damaged = read_records(folder)
        found = find(records, record)
        if damaged and not found:
            raise BadInput(
                f"no record that can be read in {folder} is called {record!r}, and it is damaged: {'; '.join(damaged)}",
                "a disk that was full, a copy that was cut off, or another program's file",
                f"the command of that run ({command_of(facts)}) with --run {folder} --resume: it runs "
                "what was lost again",
            )
        if not found:
            raise BadInput(
                f"no record in {folder} is called {record!r}",
                "another run folder, or a misspelt word",
                "odecheck show NODE-2, or six characters from the output of verify",
            )
    except BadInput as refused:
        refuse(refused)
    tell_damage(folder, facts, damaged)
    if len(found) > 1:
        for one in found:
            place = one_line(f"{one.problem}; {one.subject}")
            say(f"{identifier(one)}  {one_line(one.claim):<9}{one.verdict:<15}{place}")
        say(f"{len(found)} records: odecheck show with the six characters of one; odecheck explain tells of the claim")
        return
    statement = next((c.text for c in EVERY if c.id == found[0].claim), "")
    say(story(found[0], facts, statement))
