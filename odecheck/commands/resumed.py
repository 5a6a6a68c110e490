"""What a run of verify was asked with, kept in its run.json, and taken from there when the run is gone on with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import typer

from odecheck.errors import BadInput
from odecheck.foreign import literal

from .options import given

NONE = type(None)
# what is kept of a run, and of which kinds it may be when it is read again
KEPT: Mapping[str, tuple[type, ...]] = {
    "targets": (list, NONE),
    "tier": (str,),
    "claim": (list, NONE),
    "subject": (str,),
    "problem": (str,),
    "state": (str, NONE),
    "times": (str, NONE),
    "rtol": (int, float, NONE),
    "atol": (int, float, NONE),
    "method": (str, NONE),
    "seed": (int,),
    "timeout": (int, float, NONE),
    "memory": (int, float, NONE),
    "strict": (bool,),
}

LISTS = tuple(name for name, kinds in KEPT.items() if list in kinds)


def arguments(context: typer.Context) -> dict[str, Any]:
    """What was asked for, by the names of the command's parameters.

    Args:
        context: of the command.
    """
    return {name: context.params[name] for name in KEPT}


def restored(context: typer.Context, folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for when a run began, with what is typed now in its place.

    Args:
        context: of the command.
        folder: of the run.
        facts: of its run.json, which is data of whoever wrote it.

    Returns:
        As `arguments`.

    Raises:
        BadInput: run.json says what no command writes, or a target is a file that is not below the working folder, or
            in the run folder: it would be run because a file of data says so.
    """
    now = arguments(context)
    found: object = facts.get("arguments")
    if not isinstance(found, dict):
        return now
    known = cast("dict[str, Any]", found)
    typed = given(context, *KEPT)
    for name, kinds in KEPT.items():
        if name in typed or name not in known:
            continue
        value: object = known[name]
        if type(value) not in kinds or (name in LISTS and not _is_of_texts(value)):
            raise BadInput(
                f"{folder / 'run.json'} is of no run: its {name} is {literal(value, 60)}",
                "a file that was edited, or of another program",
                "the command of that run in full, with --run and --resume",
            )
        now[name] = value
    if "targets" not in typed:
        for target in now["targets"] or ():
            _is_here(target, folder)
    return now


def _is_of_texts(value: object) -> bool:
    return value is None or all(isinstance(one, str) for one in cast("list[object]", value))


def _is_here(target: str, folder: Path) -> None:
    """Raises BadInput for a file elsewhere, and for one in the run folder, which is all somebody else's perhaps."""
    name = target.rpartition(":")[0] or target
    file = name.endswith(".py")
    try:
        place = (Path(name) if file else Path(*name.split("."))).resolve()
        here = place.is_relative_to(Path.cwd().resolve()) or not file  # other packages are those of the environment
        own = not place.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # what is no path, or a link to itself
        here = own = False
    if not (here and own):
        raise BadInput(
            f"the run in {folder} is of {literal(target)}, which is {'in it' if here else 'not below this folder'}",
            "a run folder of somebody else, or another working folder than the one in which the run began",
            f"odecheck verify {shlex.quote(target)} --run {shlex.quote(str(folder))} --resume, if you trust that file",
        )


def typed_again(asked: Mapping[str, Any]) -> str:
    """What would be typed for it, without what goes without saying.

    Args:
        asked: as `arguments`.
    """
    words: list[str] = [*(asked["targets"] or ())]
    for name, value in asked.items():
        if name == "targets" or value in (None, "", False, [], 0) or (name == "tier" and value == "quick"):
            continue
        several = cast("list[Any]", value) if isinstance(value, list) else [value]
        words += [f"--{name}", *([] if value is True else [",".join(map(str, several))])]
    return shlex.join(["odecheck", "verify", *words])
