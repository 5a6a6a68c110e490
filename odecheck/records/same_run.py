"""Whether two runs consist of the same cases, and may be one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput


def same_cases(path: Path, known: dict[str, Any], facts: dict[str, Any]) -> None:
    """Refuse to go on with a run of other cases, another seed or other versions.

    Args:
        path: Of the run.
        known: Its facts.
        facts: What is asked for now.

    Raises:
        BadInput: The two do not belong into one table.
    """
    for what in ("claims", "pairs"):
        old, new = known["cases"][what], facts["cases"][what]
        if old != new:
            gone = [x for x in old if x not in new]
            added = [x for x in new if x not in old]
            raise BadInput(
                f"the run in {path} has other {what}: there {gone[:3]}, here {added[:3]}",
                "another target, tier, filter or claim than when the run began, or a problem that was changed",
                f"the same command as before ({' '.join(known['command'])}), or another --run",
            )
    if known["seed"] != facts["seed"]:
        raise BadInput(
            f"the run in {path} has seed {known['seed']}, not {facts['seed']}",
            "another --seed than before",
            f"--seed {known['seed']}, or another --run",
        )
    if known["versions"] != facts["versions"]:
        raise BadInput(
            f"the run in {path} was begun with {_differences(known['versions'], facts['versions'])}",
            "a library or Python was changed in between",
            "another --run: records of two versions do not belong into one table",
        )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {old.get(name)} (now {new.get(name)})" for name in new if old.get(name) != new.get(name))
