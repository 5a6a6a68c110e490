"""Every figure as SVG and PNG, for papers: drawn by matplotlib from the same blocks as the page."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from odecheck.errors import needed

from .text import COLOURS, Axis, Chart, Explorer, Grid, GridPanel, Panel, Report, Series, clip

LINES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "D", "^", "P", "X", "*", "v")
MOST_NAMES = 16


def needs_figures() -> None:
    """Raises BadInput where matplotlib is missing: to be asked before the work whose figures it draws."""
    needed("figures", "matplotlib")


def write(report: Report, folder: Path, *, beside: Path) -> dict[str, str]:
    """Draw every figure, as SVG and PNG.

    Args:
        report: whose figures are drawn.
        folder: where; it is made where it is missing.
        beside: the folder of the page that shows them.

    Returns:
        The path of each SVG, seen from the folder `beside`, by the id of its figure.

    Raises:
        BadInput: matplotlib is missing.
    """
    needs_figures()
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, str] = {}
    # svg.hashsalt: the same figure is the same file
    with mpl.rc_context({"svg.hashsalt": "odecheck", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9}):
        for block in (block for section in report.sections for block in section.blocks):
            if isinstance(block, Explorer):
                block = default_chart(block)
            if isinstance(block, Chart | Grid):
                _save(block, folder)
                drawn[block.id] = Path(os.path.relpath(folder / f"{block.id}.svg", beside)).as_posix()
    return drawn


def _save(block: Chart | Grid, folder: Path) -> None:
    plt: Any = import_module("matplotlib.pyplot")
    n = len(block.panels)
    if isinstance(block, Chart):
        across = min(n, 2)
        size = (5.6 * across, 4.3 * math.ceil(n / across))
    else:
        across = n
        size = (2.4 + n * (1.2 + 0.36 * len(block.columns)), 1.8 + 0.3 * len(block.rows))
    figure, axes = plt.subplots(
        math.ceil(n / across), across, figsize=size, layout="constrained", squeeze=False, sharey=isinstance(block, Grid)
    )
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, block.panels, strict=False):
        if isinstance(panel, GridPanel):
            assert isinstance(block, Grid)
            _grid(axis, block, panel)
        else:
            _panel(axis, panel)
    if isinstance(block, Grid):
        _key(figure, block)
    figure.savefig(folder / f"{block.id}.svg", metadata={"Date": None, "Title": block.title})
    figure.set_layout_engine("none")  # it stays as it was laid out
    figure.savefig(folder / f"{block.id}.png", dpi=150)
    plt.close(figure)


def _panel(axis: Any, panel: Panel) -> None:
    names = list(dict.fromkeys(s.name for s in panel.series))
    words = list(dict.fromkeys(str(v) for s in panel.series for v in s.x if isinstance(v, str)))
    for series in panel.series:
        _series(axis, series, names.index(series.name), words, len(names) if panel.beside else 1)
    for scale, given in (("x", panel.x), ("y", panel.y)):
        _scale(axis, scale, given, panel)
    if words:
        axis.set_xticks(range(len(words)), [clip(w, 34) for w in words], rotation=60, ha="right", fontsize=7)
    for which, where, label in panel.guides:
        (axis.axvline if which == "x" else axis.axhline)(where, color="#666666", linewidth=0.8, linestyle="--")
        at = {"x": (where, 1), "y": (1, where)}[which]
        axis.annotate(
            label,
            at,
            xycoords=("data", "axes fraction") if which == "x" else ("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=7,
        )
    axis.set_title(panel.title, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        handles, labels = axis.get_legend_handles_labels()
        unique = list(dict(zip(labels, handles, strict=False)).items())[:MOST_NAMES]
        axis.legend([h for _, h in unique], [clip(n, 40) for n, _ in unique], frameon=False, fontsize=7)


def _scale(axis: Any, which: str, given: Axis, panel: Panel) -> None:
    values = [v for s in panel.series for v in (s.x if which == "x" else s.y) if not isinstance(v, str)]
    positive = any(math.isfinite(v) and v > 0 for v in values)
    axis.set(**{f"{which}label": given.title})
    if given.log and positive:
        from matplotlib.ticker import LogFormatter

        axis.set(**{f"{which}scale": "log"})
        numbers = getattr(axis, f"{which}axis")  # plain ones: with text.parse_math off, formulas would show as typed
        numbers.set_major_formatter(LogFormatter())
        numbers.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))


def _series(axis: Any, series: Series, number: int, words: Sequence[str], names: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    beside = 0.7 * (number % names - (names - 1) / 2) / names  # of one word, names stand beside each other
    x: Any = np.array([words.index(v) + beside if isinstance(v, str) else v for v in series.x], dtype=float)
    y: Any = np.array(series.y, dtype=float)
    good = np.isfinite(x) & np.isfinite(y)
    style = {
        "color": colour,
        "linestyle": LINES[number // len(COLOURS) % len(LINES)] if series.line else "none",
        "marker": MARKS[number % len(MARKS)] if series.marks else "",
        "markersize": 4 if len(x) < 400 else 1.5,
        "linewidth": 1.4,
        "label": series.name.lstrip("_") or " ",
    }
    if series.low is None or series.high is None:
        axis.plot(x[good], y[good], **style)
        return
    low, high = np.array(series.low, dtype=float), np.array(series.high, dtype=float)
    good &= np.isfinite(low) & np.isfinite(high)
    if series.band:
        axis.fill_between(x[good], low[good], high[good], color=colour, alpha=0.18, linewidth=0)
        axis.plot(x[good], y[good], **style)
        return
    ends = np.maximum([y[good] - low[good], high[good] - y[good]], 0)
    axis.errorbar(x[good], y[good], yerr=ends, capsize=2, elinewidth=0.8, **style)


def _grid(axis: Any, grid: Grid, panel: GridPanel) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = [colour for _, colour in grid.levels]
    cells = np.array([[np.nan if c is None else c for c in row] for row in panel.cells], dtype=float)
    norm = BoundaryNorm(np.arange(-0.5, len(colours)), len(colours))
    masked: Any = vars(np.ma)["masked_invalid"](cells)
    axis.imshow(masked, cmap=ListedColormap(colours), norm=norm, aspect="auto")
    for (i, j), level in np.ndenumerate(cells):
        if panel.notes[i][j] and np.isfinite(level):
            dark = _luminance(colours[int(level)]) < 0.4
            axis.text(j, i, panel.notes[i][j], ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axis.set_xticks(range(len(grid.columns)), [clip(c, 30) for c in grid.columns], rotation=60, ha="right", fontsize=7)
    axis.set_yticks(range(len(grid.rows)), [clip(r, 40) for r in grid.rows], fontsize=7)
    axis.set_xticks(np.arange(-0.5, len(grid.columns)), minor=True)
    axis.set_yticks(np.arange(-0.5, len(grid.rows)), minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="both", length=0)
    axis.set_title(panel.title, fontsize=9)


def _luminance(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _key(figure: Any, grid: Grid) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor="#888888", label=name) for name, colour in grid.levels]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False, fontsize=7)


def default_chart(block: Explorer) -> Chart:
    """What an explorer shows at first, as a chart: one line for each group of joined rows."""
    frame = block.table.frame
    for name, value in block.filters.items():
        frame = frame[frame[name] == value]
    joined = [name for name in block.joined if name in frame]
    groups = frame.groupby([block.colour, *(n for n in joined if n != block.colour)], sort=False, dropna=False)
    made: list[Any] = []
    for key, mine in groups if joined else frame.groupby(block.colour, sort=False):
        rows = mine.sort_values(block.along, ascending=False) if block.along else mine
        name = str(cast(tuple[Any, ...], key)[0] if isinstance(key, tuple) else key)
        made.append(Series(name, [*rows[block.x]], [*rows[block.y]], line=bool(block.along)))
    titles = {column.name: column.title for column in block.quantities}

    def axis(name: str) -> Axis:
        return Axis(titles.get(name, name), log=True)

    panel = Panel("", axis(block.x), axis(block.y), tuple(made))
    return Chart(block.id, block.title, block.caption, (panel,))
