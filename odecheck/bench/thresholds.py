"""From which change on a series counts: one's own choice, in the project's configuration."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from odecheck.errors import BadInput
from odecheck.foreign import first_line, literal

TABLE = "tool.odecheck.regressions.thresholds"
EXAMPLE = f'[{TABLE}]\n"time_gradient" = 0.25\n"track_error.*" = 0.05'


@dataclass(frozen=True)
class Thresholds:
    """Shares by which the value of a series may change, for the series whose names a pattern is found in.

    Attributes:
        by_pattern: regular expression → share, 0.05 for 5 %; of several that are found in a name, the last counts.
    """

    by_pattern: Mapping[str, float]

    def of(self, name: str) -> float | None:
        """The share of a series.

        Args:
            name: of the series.

        Returns:
            Its own threshold, or None where it has none.
        """
        found = [share for pattern, share in self.by_pattern.items() if re.search(pattern, name)]
        return found[-1] if found else None

    def check(self, names: Iterable[str], where: str) -> None:
        """Refuse a threshold that is that of nothing.

        Args:
            names: of all series.
            where: the thresholds are from.

        Raises:
            BadInput: a pattern is found in none of the names.
        """
        known = list(names)
        for pattern in self.by_pattern:
            if not any(re.search(pattern, name) for name in known):
                raise BadInput(
                    f"the threshold {literal(pattern)} of {where} is that of no series",
                    "a benchmark that has another name now",
                    f"a regular expression that is found in one of: {', '.join(known[:5])}, …",
                )


NONE = Thresholds({})


def read(repo: Path) -> Thresholds:
    """The thresholds of a project.

    Args:
        repo: the folder of its pyproject.toml; without one, or without the table in it, there are none.

    Returns:
        What `[tool.odecheck.regressions.thresholds]` says.

    Raises:
        BadInput: the file cannot be read, a pattern is no regular expression, or a share no positive number.
    """
    file = repo / "pyproject.toml"
    if not file.exists():
        return NONE
    try:
        known: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read: {first_line(error)}", "a mistake in that file", EXAMPLE) from error
    for name in TABLE.split("."):
        known = cast("dict[str, Any]", known).get(name, {}) if isinstance(known, dict) else None
    if not isinstance(known, dict):
        raise BadInput(f"{TABLE} of {file} is {literal(known)}, no table", "a number for all series", EXAMPLE)
    return Thresholds(
        {pattern: _share(pattern, share, file) for pattern, share in cast("dict[str, Any]", known).items()}
    )


def _share(pattern: str, share: object, file: Path) -> float:
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"{literal(pattern)} in {file} is no regular expression: {error}", "a bracket that is not closed", EXAMPLE
        ) from error
    if isinstance(share, bool) or not isinstance(share, int | float) or not (share >= 0 and math.isfinite(share)):
        raise BadInput(
            f"the threshold of {literal(pattern)} in {file} is {literal(share)}, no share of 0 or more",
            "a percentage, or a number in quotation marks",
            EXAMPLE,
        )
    return float(share)
