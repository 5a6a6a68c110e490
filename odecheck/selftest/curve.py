"""The curve of discernment: the smallest defect refuted against the solver's tolerance, other tests as levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odecheck.report.static import needs_figures

from . import discernment
from .journal import Row

# claim → what of the answer it judges, a panel each
PANELS = {"SOL-2": "solution", "NODE-1": "dL/dy0", "NODE-2": "dL/dθ", "NODE-3": "dL/dT"}
# the parts of the answer that the other tests look at, for each panel
PARTS = {"SOL-2": "solution", "NODE-1": "y0", "NODE-2": "theta", "NODE-3": "ts"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """A panel for each kind of answer: a line for each engine, a level for each test that is done instead.

    Raises BadInput where matplotlib is missing.
    """
    needs_figures()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 7.5), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    right = min(discernment.TOLERANCES)
    lines: dict[str, Any] = {}
    for axes, (claim, what) in zip(grid.flat, PANELS.items(), strict=True):
        for number, engine in enumerate(discernment.ENGINES):
            judged = [r for r in rows if (r["test"], r["engine"]) == (claim, engine)]
            mine = sorted((r["rtol"], r["smallest_refuted"]) for r in judged if math.isfinite(r["smallest_refuted"]))
            if mine:
                style = ("-", "--", "-.", ":")[number]
                (lines[engine],) = axes.plot(*zip(*mine, strict=True), style, color=f"C{number}", marker=".")
        levels = {
            r["test"]: r["smallest_refuted"]
            for r in rows
            if r["test"] in discernment.OTHERS and r["part"] == PARTS[claim] and math.isfinite(r["smallest_refuted"])
        }
        above = 0.0
        for name, level in sorted(levels.items(), key=lambda item: item[1]):
            axes.axhline(level, color="0.6", linewidth=0.8)
            above = max(
                level * 1.15, above * 3.2
            )  # labels of levels that are close to each other stand above each other
            axes.text(right, above, name, fontsize=7, color="0.25", va="bottom")
        axes.set(xscale="log", yscale="log", title=f"{what} ({claim})")
        axes.grid(color="0.92")
    grid[0, 0].set_ylim(top=1.0)
    for axes in grid[1]:
        axes.set_xlabel("rtol of the solver (first of three rungs)")
    for axes in grid[:, 0]:
        axes.set_ylabel("smallest relative defect refuted")
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), fontsize=9)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
