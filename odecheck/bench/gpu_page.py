"""The page of the GPU suite: what is quickest where, what an earlier commit had, and every row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from odecheck.errors import BadInput
from odecheck.records.table import read_table

from .gpu_plan import Row

SIDES = "torchdiffeq", "odecheck.", ""  # what names of engines begin with
COUNTS = ("nfe_forward", "nfe_backward")
EXPLAINED = (
    "Results are compared with float64 on the CPU. Evaluations have to be as many as there with fixed steps and in "
    "float64; in float32 a step is kept or not by round-off. Reads: how often one run waits for the device. First: the "
    "first run, with what is compiled and captured for it."
)


def page(head: str, rows: Sequence[Row], earlier: tuple[str, Sequence[Row]] | None = None) -> str:
    """The page as Markdown.

    Args:
        head: device, versions, and how many rows there are of how many, in words.
        rows: what was measured.
        earlier: of another commit on the same device, with its name.

    Returns:
        The text, with its last line ended.
    """
    parts = ["# On a GPU", "", head, "", EXPLAINED, "", *_quickest(rows)]
    if earlier is not None:
        parts += _since(*earlier, rows)
    return "\n".join(parts + _every(rows)) + "\n"


def rows_of(path: Path) -> tuple[list[Row], str]:
    """The rows of a table, which may be of an earlier version, and what made it.

    Args:
        path: of a gpu.parquet.

    Returns:
        Rows, with NaN for what the table does not have; device and versions in words, or nothing.

    Raises:
        BadInput: the file cannot be read, or has no such rows.
    """
    frame: Any = read_table(path).frame
    try:
        found: list[dict[str, Any]] = [] if frame is None else frame.to_dict("records")
        rows = [Row(**{name: one[name] for name in Row.__dataclass_fields__ if name in one}) for one in found]
    except TypeError:
        found, rows = [], list[Row]()
    if not rows:
        raise BadInput(f"{path} has no rows of the GPU suite", "another table", "odecheck bench --gpu DIR makes one")
    return rows, str(found[0].get("made_by", ""))


def _timed(rows: Sequence[Row]) -> list[Row]:
    return [r for r in rows if r.device == "cuda" and r.wall_seconds == r.wall_seconds]


def _quickest(rows: Sequence[Row]) -> list[str]:
    """For each computation on the GPU the quickest variants: torchdiffeq's, those of odecheck's functions, the rest."""

    def what(r: Row) -> tuple[str, ...]:
        return r.size, r.quantity, r.method, r.dtype

    lines = list[str]()
    for key, found in groupby(sorted(_timed(rows), key=lambda r: (what(r), r.wall_seconds)), what):
        best: dict[int, Row] = {}
        for r in found:
            best.setdefault(next(i for i, side in enumerate(SIDES) if r.engine.startswith(side)), r)
        if len(best) > 1 and 0 in best:
            cells = [_best(best.get(i), best[0]) for i in range(len(SIDES))]
            lines.append(f"| {' | '.join((*key, *cells))} |")
    if not lines:
        return []
    return [
        "## At its quickest",
        "",
        "Milliseconds, and in brackets the part of torchdiffeq's. The last column is of this suite alone: what a graph "
        "of the whole loop, or of one adaptive step whose control is on the device, makes possible.",
        "",
        "| size | quantity | method | dtype | torchdiffeq | odecheck | graphs |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
    ]


def _best(r: Row | None, theirs: Row) -> str:
    if r is None:
        return ""
    part = "" if r is theirs else f" (×{r.wall_seconds / theirs.wall_seconds:.2f})"
    return f"{r.wall_seconds * 1e3:.3g}{part} {r.engine}, {r.variant}"


def _since(name: str, earlier: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """Wall time and evaluations beside those of another commit; torchdiffeq's rows show what the machine does."""
    before = {r.key: r for r in earlier}
    pairs = [(before[r.key], r) for r in rows if r.device == "cuda" and r.key in before]
    counted = [(a, b) for a, b in pairs if all(getattr(x, c) == getattr(x, c) for x in (a, b) for c in COUNTS)]
    other = [(a, b) for a, b in counted if any(getattr(a, c) != getattr(b, c) for c in COUNTS)]
    lines = [
        f"## Since {name}",
        "",
        f"{len(pairs)} rows are of both. Evaluations of {len(counted)} were counted at both, and "
        f"{len(counted) - len(other)} are the same" + (":" if other else "."),
        "",
        *(
            f"- {b.size}, {b.engine}, {b.method}, {b.quantity}, {b.dtype}: {a.nfe_forward:.0f}, {a.nfe_backward:.0f} "
            f"→ {b.nfe_forward:.0f}, {b.nfe_backward:.0f}"
            for a, b in other
        ),
        "",
        "Wall time now over then; torchdiffeq is the same at both, so that its rows show what the machine does.",
        "",
        "| engine | variant | rows | median | from | to |",
        "|---|---|---|---|---|---|",
    ]
    ratios: dict[tuple[str, str], list[float]] = {}
    for a, b in pairs:
        if (ratio := b.wall_seconds / a.wall_seconds) == ratio:
            ratios.setdefault((b.engine, b.variant), []).append(ratio)
    for key, found in ratios.items():
        numbers = " | ".join(f"{x:.2f}" for x in (median(found), min(found), max(found)))
        lines.append(f"| {' | '.join(key)} | {len(found)} | {numbers} |")
    return [*lines, ""]


def _every(rows: Sequence[Row]) -> list[str]:
    return [
        "## Every row",
        "",
        "| size | engine | method | quantity | variant | device | dtype | wall, ms | CPU, ms | first, s | reads "
        "| peak, MiB | NFE, back | on the CPU | distance | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
    ]


def _line(r: Row) -> str:
    nfe = "" if r.nfe_forward != r.nfe_forward else f"{r.nfe_forward:.0f}, {r.nfe_backward:.0f}"
    return (
        f"| {r.size} | {r.engine} | {r.method} | {r.quantity} | {r.variant} | {r.device} | {r.dtype} "
        f"| {_cell(r.wall_seconds, 1e3)} | {_cell(r.cpu_seconds, 1e3)} | {_cell(r.first_seconds, 1)} "
        f"| {_cell(r.host_reads, 1, '.0f')} | {_cell(r.peak_bytes, 2**-20)} | {nfe} | {_cell(r.nfe_cpu, 1, '.0f')} "
        f"| {_cell(r.distance, 1, '.1e')} | {r.message.replace('|', ' ')} |"
    )


def _cell(value: float, unit: float, form: str = ".3g") -> str:
    return "" if value != value else format(value * unit, form)
