"""How much of what is shipped is taken. Nothing heavy is imported here: the command line and pytest ask at once."""

from __future__ import annotations

from enum import StrEnum


class Tier(StrEnum):
    """Of the shipped subjects and problems."""

    QUICK = "quick"
    FULL = "full"
