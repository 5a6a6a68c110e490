"""The GPU suite's rows as a page and a table, written anew with every row: what was measured survives a crash."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any, cast

import torch

from odecheck.records.table import write_table

from .gpu import Row


def about_device() -> str:
    """The GPU, the driver's CUDA and torch, in words."""
    if not torch.cuda.is_available():
        return f"no GPU; torch {torch.__version__}, {platform.machine()}"
    properties = cast(Any, torch.cuda).get_device_properties(0)
    gib = properties.total_memory / 2**30
    return f"{properties.name}, {gib:.0f} GiB, CUDA {torch.version.cuda}, torch {torch.__version__}"


class Report:
    """gpu.md and gpu.parquet in a folder. expected: how many rows there will be."""

    def __init__(self, folder: Path, expected: int) -> None:
        self.folder, self.expected = folder, expected
        self.rows: list[Row] = []
        self._device, self._begun = about_device(), time.monotonic()  # asked for now: a GPU may fail later

    def add(self, row: Row) -> None:
        """One more row; the files have it when this returns."""
        self.rows.append(row)
        self.write()

    def write(self) -> Path:
        """Both files, each replaced as a whole. The path of gpu.md."""
        import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

        self.folder.mkdir(parents=True, exist_ok=True)
        table, page = self.folder / "gpu.parquet", self.folder / "gpu.md"
        frame: Any = pd.DataFrame([vars(row) for row in self.rows], columns=list(Row.__dataclass_fields__))
        write_table(table, frame)
        page.with_suffix(".md.tmp").write_text("\n".join(self._lines()) + "\n")
        page.with_suffix(".md.tmp").replace(page)
        return page

    def _lines(self) -> list[str]:
        took, count = time.monotonic() - self._begun, len(self.rows)
        whole = f"{count} rows" if count == self.expected else f"**Incomplete: {count} of {self.expected} rows**"
        head = [
            "# On a GPU",
            "",
            f"{self._device}. {whole} in {took:.0f} s, made by `odecheck bench --gpu`.",
            "",
            "| size | engine | method | quantity | variant | device | dtype | wall, ms | CPU, ms | peak, MiB "
            "| NFE, back | distance | |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        return head + [_line(row) for row in self.rows]


def _line(r: Row) -> str:
    nfe = "" if r.nfe_forward != r.nfe_forward else f"{r.nfe_forward:.0f}, {r.nfe_backward:.0f}"
    return (
        f"| {r.size} | {r.engine} | {r.method} | {r.quantity} | {r.variant} | {r.device} | {r.dtype} "
        f"| {_cell(r.wall_seconds, 1e3)} | {_cell(r.cpu_seconds, 1e3)} | {_cell(r.peak_bytes, 2**-20)} | {nfe} "
        f"| {_cell(r.distance, 1, '.1e')} | {r.message.replace('|', ' ')} |"
    )


def _cell(value: float, unit: float, form: str = ".3g") -> str:
    return "" if value != value else format(value * unit, form)
