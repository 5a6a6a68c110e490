"""Records into pages that people read: `build` puts a report together, `page`, `markdown` and `static` write it.

Nothing is computed here. A section is made from the tables that it speaks of, and is absent where they are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from .reader import Found, read_all
from .stories import stories
from .text import Report

__all__ = ["Report", "build"]

MOST_DAMAGE = 20


def build(folders: Sequence[str | os.PathLike[str]]) -> Report:
    """The report of everything in these folders, see `reader.read_all`.

    Raises BadInput where a folder holds nothing.
    """
    from .sections import sections
    from .sections.verdict import headline

    found = read_all(folders)
    words, good, counts = headline(found)
    made = [section for make in sections() if (section := make(found)) is not None]
    return Report(_title(found), words, good, counts, made, _damage(found.damaged), stories(found))


def _title(found: Found) -> str:
    names = ", ".join(run.name for run in found.runs[:3]) + (", …" if len(found.runs) > 3 else "")
    return f"odecheck: {names}" if names else "odecheck: measurements"


def _damage(damaged: Sequence[str]) -> list[str]:
    """What could not be read, said once each, and not more than anybody reads."""
    counted: dict[str, int] = {}
    for what in damaged:
        counted[what] = counted.get(what, 0) + 1
    lines = [what + (f" ({n:,} times)" if n > 1 else "") for what, n in counted.items()]
    more = [f"and {len(lines) - MOST_DAMAGE:,} more of this kind"] if len(lines) > MOST_DAMAGE else []
    return lines[:MOST_DAMAGE] + more
