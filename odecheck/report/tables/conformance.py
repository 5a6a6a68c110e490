"""Which library keeps which promise: one row for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from odecheck.report.schemas import Parquet


@dataclass(frozen=True)
class Conformance(Parquet):
    """Rows of libraries, each with the place of its story on the page."""

    def joined(self, contents: Sequence[Any]) -> Any:
        rows = super().joined(contents)
        rows["record"] = _anchors(rows)
        return rows


def _anchors(rows: Any) -> list[str]:
    """Where the story of a row of a library is found on the page: rows of two runs may have the same id."""
    runs = {name: number for number, name in enumerate(dict.fromkeys(rows["run"]))}
    return [
        f"record-t{runs[run]}-{row or f'line{line}'}"
        for line, (run, row) in enumerate(zip(rows["run"], rows["row"], strict=True))
    ]


KIND = Conformance(
    "conformance",
    text=(
        "library",
        "version",
        "engine",
        "method",
        "claim",
        "problem",
        "verdict",
        "message",
        "expected_failure",
        "row",
        "ok",
        "reproducer",
    ),
    numbers=("error", "error_over_tolerance", "resolved", "score", "observed", "expected", "bar", "nfe", "seconds"),
    needed=("library", "claim", "verdict"),
)
