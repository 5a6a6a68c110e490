"""What a report is made from: the tables of folders, and in words what could not be read of them.

A folder is a run of `odecheck verify`, holds asv's results, or holds one or more of the tables of `tables/`, itself or
in the folders right below it; a folder that is called by such a name holds any number of them. A torn file, a missing
column or a word where a number belongs never stops a report: it is said there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput

from .tables import kinds
from .tables.records import Run, rows


@dataclass(frozen=True, eq=False)
class Found:
    """All that was read.

    Args:
        tables: by the name of its kind; a frame has a column `run`. What no folder holds is absent.
        facts: how each was made, by the values of `run`.
        damaged: what could not be read, in words.
    """

    tables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    damaged: Sequence[str] = ()

    @property
    def runs(self) -> Sequence[Run]:
        """The runs of `odecheck verify`."""
        return self.tables.get("records", ())

    @cached_property
    def records(self) -> Any:
        """The records of all runs as a frame, see `tables.records.rows`."""
        return rows(self.runs)


def read_all(folders: Sequence[str | os.PathLike[str]]) -> Found:
    """Everything in these folders.

    Raises:
        BadInput: a folder holds nothing, or a run of another version of the format.
    """
    parts: dict[str, list[Any]] = {}
    seen: set[tuple[str, Path]] = set()
    facts: dict[str, Mapping[str, Any]] = {}
    damaged: list[str] = []
    for folder in map(Path, folders):
        found = 0
        for below in (folder, *(p for p in sorted(folder.glob("*/")) if not p.name.startswith("."))):
            run = _name(below, facts)
            for name, kind in kinds().items():
                for place in kind.places(below):
                    found += 1
                    if (name, place) in seen and not kind.again:
                        continue
                    seen.add((name, place))
                    piece = kind.read(place, run)
                    damaged += piece.damaged
                    if piece.content is not None:
                        parts.setdefault(name, []).append(piece.content)
                    if piece.facts is not None:
                        # a run of records says of itself how it was made, also to the tables beside them
                        facts[piece.run] = piece.facts if kind.again else facts.get(piece.run, piece.facts)
        if not found:
            raise BadInput(
                f"there is nothing to report in {folder}",
                "another folder, or a run that has not begun",
                f"odecheck verify --run DIR, or a folder with one of: {', '.join(k.held for k in kinds().values())}",
            )
    return Found({name: kinds()[name].joined(contents) for name, contents in parts.items()}, facts, damaged)


def _name(folder: Path, taken: Mapping[str, Any]) -> str:
    name = Path(os.path.realpath(folder)).name
    names = [name, *(f"{name} ({n})" for n in range(2, 1000))]
    return next(n for n in names if n not in taken)
