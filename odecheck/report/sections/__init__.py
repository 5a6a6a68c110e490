"""The sections of a report, one file each, in the order of their `PLACE`.

`section(found)` makes one from tables, or None where there are none of its. They count, sort and take medians; nothing
is computed here that a table does not hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from odecheck.report.discovery import declared
from odecheck.report.reader import Found
from odecheck.report.text import Section


@cache
def sections() -> Sequence[Callable[[Found], Section | None]]:
    """The function `section` of every module of this folder, in the order of their places.

    Raises:
        TypeError: for a module without a place or without the function, or two modules of one place.
    """
    package = sys.modules[__name__]
    taken: dict[Any, str] = {}
    made: dict[Any, Any] = {}
    functions = dict(declared(package, "section", "def section(found: Found) -> Section | None: ..."))
    for module, place in declared(package, "PLACE", "PLACE = 35, for a section between those at 30 and 40"):
        if not isinstance(place, int):
            raise TypeError(
                f"PLACE of {module.__name__} is {place!r}\n"
                "  usual cause: the name of a section in place of a number\n"
                "  what to type: PLACE = 35, for a section between those at 30 and 40"
            )
        if place in taken:
            raise TypeError(
                f"{taken[place]} and {module.__name__} both have PLACE = {place}\n"
                "  usual cause: a file that was copied\n"
                f"  what to type: PLACE = {_free(place, functions)} in one of the two, or any number that is not taken"
            )
        taken[place], made[place] = module.__name__, functions[module]
    return [made[place] for place in sorted(made)]


def _free(place: int, modules: Any) -> int:
    """The first place after this one that no module has."""
    taken = {getattr(module, "PLACE", None) for module in modules}
    return next(n for n in range(place + 1, place + len(taken) + 2) if n not in taken)
