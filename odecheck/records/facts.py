"""What run.json says of a run: it is read as what somebody else may have written, and refused in words."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from odecheck.errors import BadInput
from odecheck.foreign import literal, one_line

from .journal import CHECKSUM, digest, parsed, regular

SCHEMA = 2
# its files need not have a checksum: it is that of versions which wrote none
OLDER = 1
NONE = type(None)
# what the facts are that commands look into, where there are any
SHAPES: Mapping[str, tuple[type, ...]] = {
    "versions": (dict,),
    "cases": (dict,),
    "command": (list,),
    "seed": (int, NONE),
    "device": (str,),
    "commit": (str, NONE),
    "started": (str,),
    "finished": (str, NONE),
    "source": (dict, NONE),
    "cost": (dict,),
    "trials": (list,),
    "digest": (str,),
}


def kind_of(facts: Mapping[str, Any]) -> str:
    """The command that a run is of: verify (or `check`), conformance, train or cost; nothing where it is of none."""
    found = facts.get("cases")
    cases: Mapping[str, Any] = cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
    if "claims" in cases and "pairs" in cases:
        return "conformance" if "conformance" in facts else "verify"
    return "train" if "task" in cases else "cost" if "source" in cases else ""


def same_kind(path: Path, known: Mapping[str, Any], kind: str) -> None:
    """Raises BadInput where the run in `path` is of another command than `kind`."""
    if kind_of(known) != kind:
        other = kind_of(known)
        raise BadInput(
            f"the run in {path} is of {f'odecheck {other}' if other else 'no command that is known'}, not of {kind}",
            "the --run of another command",
            f"another --run, or without --resume a new one; odecheck report {path} shows what is in this one",
        )


def read_facts(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read run.json.

    Args:
        folder: of the run.

    Returns:
        What it says.

    Raises:
        BadInput: there is none, or one that is torn or of another version of the format.
    """
    path = Path(folder) / "run.json"
    try:
        facts: Any = parsed(regular(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            f"there is no run in {folder}",
            "another folder, or no run yet",
            "odecheck verify --run DIR, then odecheck show RECORD --run DIR",
        ) from None
    except (ValueError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read: {one_line(error)}",
            "a disk that was full, or another program's file",
            f"rm -r {folder} and the command of that run again, or --run with the folder of another run",
        ) from error
    seen = cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
    if seen.get("schema") not in (OLDER, SCHEMA):
        raise BadInput(
            f"the run in {folder} has format version {literal(seen.get('schema'), 60)}, "
            f"and this odecheck reads {SCHEMA}",
            "a run of another version of odecheck",
            f"pip install odecheck=={_version_of(seen)} to read it, or another --run",
        )
    return seen


def refuse_other_shapes(folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that is none. To be read, facts may be of any kind.

    Args:
        folder: of the run.
        facts: of its run.json.

    Raises:
        BadInput: one of them is not of the kind that commands write.
    """
    for name, kinds in SHAPES.items():
        if name in facts and not isinstance(facts[name], kinds):
            raise BadInput(
                f"{Path(folder) / 'run.json'} is of no run: its {name} is {literal(facts[name], 60)}",
                "a file that was edited, or of another program",
                f"rm -r {folder} and the command of that run again, or --run with the folder of another run",
            )


def versions_in(facts: Mapping[str, Any]) -> dict[str, str]:
    """The versions that a run was made with, by name; nothing where it says none."""
    found: object = facts.get("versions")
    known = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {one_line(name): one_line(number) for name, number in known.items() if number}


def _version_of(facts: Mapping[str, Any]) -> str:
    versions: object = facts.get("versions")
    found: object = cast("dict[str, object]", versions).get("odecheck") if isinstance(versions, dict) else None
    return found if isinstance(found, str) and re.fullmatch(r"[\w.+!-]+", found) else "VERSION"


def changed(facts: Mapping[str, Any]) -> str:
    """What is to be said of facts that are not those that were written, or nothing.

    Args:
        facts: of a run.json, as it was read. Older ones have no checksum.
    """
    kept = {name: value for name, value in facts.items() if name != CHECKSUM}
    if CHECKSUM not in facts:
        return "" if facts.get("schema") == OLDER else "is not what was written: it has no checksum"
    if facts[CHECKSUM] == digest(kept):
        return ""
    return "is not what was written: it has another checksum"


def command_of(facts: Mapping[str, Any]) -> str:
    """What was typed to begin a run, on one line."""
    command: object = facts.get("command")
    return " ".join(one_line(word) for word in cast("list[object]", command)) if isinstance(command, list) else ""


def same_cases(path: Path, known: dict[str, Any], facts: dict[str, Any]) -> None:
    """Raises BadInput where a run in `path` consists of other cases, or was begun otherwise, than now."""
    for what in ("claims", "pairs"):
        old, new = known["cases"][what], facts["cases"][what]
        if old != new:
            old = cast("list[Any]", old) if isinstance(old, list) else [old]
            gone = [x for x in old if x not in new]
            added = [x for x in new if x not in old]
            raise BadInput(
                f"the run in {path} has other {what}: there {literal(gone[:3])}, here {literal(added[:3])}",
                "another target, tier, filter or claim than when the run began, or a problem that was changed",
                f"the same command as before ({command_of(known)}), or another --run",
            )
    if known.get("seed") != facts["seed"]:
        raise BadInput(
            f"the run in {path} has seed {literal(known.get('seed'))}, not {facts['seed']}",
            "another --seed than before",
            f"--seed {literal(known.get('seed'))}, or another --run",
        )
    if known.get("versions") != facts["versions"]:
        raise BadInput(
            f"the run in {path} was begun with {_differences(known.get('versions', {}), facts['versions'])}",
            "a library or Python was changed in between",
            "another --run: records of two versions do not belong into one table",
        )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {old.get(name)} (now {new.get(name)})" for name in new if old.get(name) != new.get(name))
