"""The tables that a report reads, one file for each kind: its columns, how a folder holds it, and how it is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from odecheck.report.discovery import declared
from odecheck.report.schemas import Kind


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds of tables by name: the `KIND` of every module of this folder.

    Raises:
        TypeError: for a module without a `KIND`, or two kinds of one name.
    """
    example = 'KIND = Parquet("NAME", text=(...), numbers=(...), needed=(...)), see odecheck/report/tables/cost.py'
    found: dict[str, Kind] = {}
    where: dict[str, str] = {}
    for module, kind in declared(sys.modules[__name__], "KIND", example):
        if not isinstance(kind, Kind):
            raise TypeError(
                f"KIND of {module.__name__} is {type(kind).__name__}\n"
                "  usual cause: the columns alone are given\n"
                f"  what to type: {example}"
            )
        if kind.name in found:
            raise TypeError(
                f"{where[kind.name]} and {module.__name__} are both the table {kind.name!r}\n"
                "  usual cause: a file that was copied\n"
                "  what to type: another name in one of the two"
            )
        found[kind.name], where[kind.name] = kind, module.__name__
    return found
