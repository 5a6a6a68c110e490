"""The GPU suite's rows as a page and a table, written anew with every row: what was measured survives a crash."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any, cast

import torch

from odecheck.records.commit import own_text
from odecheck.records.table import read_table, write_table

from .gpu import OTHER_NFE, WRONG
from .gpu_page import page as of_rows
from .gpu_page import rows_of
from .gpu_plan import Row

TABLE = "gpu.parquet"
MADE_BY = "made_by"  # the column beside those of a row


def about_device() -> str:
    """The GPU, the driver's CUDA and torch, in words."""
    if not torch.cuda.is_available():
        return f"no GPU; torch {torch.__version__}, {platform.machine()}"
    properties = cast(Any, torch.cuda).get_device_properties(0)
    gib = properties.total_memory / 2**30
    return f"{properties.name}, {gib:.0f} GiB, CUDA {torch.version.cuda}, torch {torch.__version__}"


class Report:
    """gpu.md and gpu.parquet in a folder.

    What an earlier run has measured there, on the same device with the same torch and the same odecheck, is kept.

    Args:
        folder: of both.
        order: the keys of the rows that there will be, in this order.
    """

    def __init__(self, folder: Path, order: list[tuple[str, ...]]) -> None:
        self.folder, self.order = folder, order
        self._device, self._begun = about_device(), time.monotonic()  # asked for now: a GPU may fail later
        self._made_by = f"{self._device}; odecheck {own_text()}"
        self.rows = self._kept()
        self.kept = len(self.rows)

    def _kept(self) -> list[Row]:
        frame = read_table(self.folder / TABLE).frame
        if frame is None or MADE_BY not in frame:
            return []
        try:
            found = frame[(frame[MADE_BY] == self._made_by) & (frame["state"] == "measured")]
            rows = [Row(**{name: one[name] for name in Row.__dataclass_fields__}) for one in found.to_dict("records")]
        except KeyError:  # one of another version
            return []
        wanted = set(self.order)
        return [row for row in rows if row.key in wanted]

    @property
    def done(self) -> set[tuple[str, ...]]:
        """The keys of rows that are there."""
        return {row.key for row in self.rows}

    @property
    def wrong(self) -> list[Row]:
        """Rows with another result, or other evaluations, than the CPU has."""
        return wrong_of(self.rows)

    def add(self, row: Row) -> None:
        """One more row; the files have it when this returns."""
        self.rows.append(row)
        self.write()

    def write(self) -> Path:
        """Both files, each replaced as a whole. The path of gpu.md."""
        import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

        self.folder.mkdir(parents=True, exist_ok=True)
        page, place = self.folder / "gpu.md", {key: i for i, key in enumerate(self.order)}
        self.rows.sort(key=lambda row: place[row.key])
        frame: Any = pd.DataFrame([vars(row) for row in self.rows], columns=list(Row.__dataclass_fields__))
        frame[MADE_BY] = self._made_by
        write_table(self.folder / TABLE, frame)
        page.with_suffix(".md.tmp").write_text(of_rows(self._head(), self.rows), encoding="utf-8")
        page.with_suffix(".md.tmp").replace(page)
        return page

    def _head(self) -> str:
        took, count, expected = time.monotonic() - self._begun, len(self.rows), len(self.order)
        whole = f"{count} rows" if count == expected else f"**Incomplete: {count} of {expected} rows**"
        before = f", {self.kept} of them by an earlier run" if self.kept else ""
        return f"{self._device}. {whole} in {took:.0f} s{before}, made by `odecheck bench --gpu`; {outcome(self.rows)}."


def outcome(rows: list[Row]) -> str:
    """How many rows failed, and how many are other than on the CPU, in words."""
    failed, wrong = sum(row.state == "failed" for row in rows), len(wrong_of(rows))
    return f"{failed} failed, " + (
        f"**{wrong} of them other than on the CPU**" if wrong else "none other than on the CPU"
    )


def wrong_of(rows: list[Row]) -> list[Row]:
    """Rows with another result, or other evaluations, than the CPU has."""
    return [row for row in rows if row.message.startswith((WRONG, OTHER_NFE))]


def page_again(folder: Path, against: Path | None = None) -> Path:
    """gpu.md of a folder's gpu.parquet anew, without a GPU. The path of gpu.md.

    Args:
        folder: of both.
        against: a gpu.parquet of another commit, whose file name says which: gpu-NAME.parquet.

    Raises:
        BadInput: one of the tables cannot be read.
    """
    rows, made_by = rows_of(folder / TABLE)
    earlier = None if against is None else (against.stem.removeprefix("gpu-"), rows_of(against)[0])
    page = folder / "gpu.md"
    page.write_text(of_rows(f"{made_by}. {len(rows)} rows; {outcome(rows)}.", rows, earlier), encoding="utf-8")
    return page
