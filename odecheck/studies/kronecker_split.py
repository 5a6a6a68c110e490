"""How far A ⊗ B is from a layer's block of the Gauss–Newton matrix, by the two sources of the error, as a table.

The blocks are those of `curvature`: of one sample the error is that of time alone, and falls with the square of the
length of the solve; of several, that of pairing the samples need not fall with it.

    python -m odecheck.studies.kronecker_split reports
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.records.table import write_table

from .curvature import SAMPLES, blocks, made

ENDS = (2.0, 1.0, 0.5, 0.25, 0.125)


def table(ends: Sequence[float] = ENDS, counts: Sequence[int] = (1, SAMPLES)) -> Any:
    """A pandas DataFrame: layer, count (of samples), horizon (T − t0), total, time, samples; see `curvature.Split`."""
    pd: Any = import_module("pandas")
    rows: list[Any] = []
    for count in counts:
        field, y0 = made(count)
        for end in ends:
            for layer, block in blocks(field, y0, end).items():
                split = block.split()
                rows.append((layer, count, end, split.total, split.time, split.samples))
    return pd.DataFrame(rows, columns=["layer", "count", "horizon", "total", "time", "samples"])


def main(folder: str = "reports") -> None:
    """Write kronecker_split.parquet into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_table(Path(folder) / "kronecker_split.parquet", table())


if __name__ == "__main__":
    main(*sys.argv[1:2])
