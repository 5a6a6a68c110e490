"""Which library keeps which promise: one row for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.foreign import one_line
from odecheck.records.export import number
from odecheck.records.journal import parsed, regular
from odecheck.records.table import Read
from odecheck.report.schemas import Parquet


@dataclass(frozen=True)
class Conformance(Parquet):
    """Rows of libraries, each with the place of its story on the page.

    Without the extra tables `odecheck conformance` writes them as JSON alone, which is read then.
    """

    def places(self, folder: Path) -> list[Path]:
        found, written = super().places(folder), folder / f"{self.name}.json"
        return found or [path for path in [written] if path.exists()]

    def raw(self, path: Path) -> Read:
        if path.suffix != ".json":
            return super().raw(path)
        try:
            read: Any = parsed(regular(path).read_text(encoding="utf-8"))
            rows = [{**row, **{name: number(row.get(name)) for name in self.numbers}} for row in read["records"]]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return Read(None, (f"{path.name}: {one_line(error)}",))
        pd: Any = import_module("pandas")
        return Read(pd.DataFrame(rows))

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
