"""Charts, grids and tables as what the page's script takes: plotly's traces, and columns with their distinct words."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .text import COLOURS, Axis, Chart, Column, Explorer, Grid, GridPanel, Panel, Series, Table, clip

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")


def look(number: int) -> tuple[str, str, str]:
    """Colour, dash and symbol of the nth name: all three tell names apart."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)], SYMBOLS[number % len(SYMBOLS)]


def figures(block: Chart | Grid) -> list[dict[str, Any]]:
    """One plotly figure for each panel. What comes from users is escaped: plotly reads tags in its texts."""
    if isinstance(block, Chart):
        return [_chart(panel) for panel in block.panels]
    return [_grid(block, panel) for panel in block.panels]


def _chart(panel: Panel) -> dict[str, Any]:
    names = list(dict.fromkeys(s.name for s in panel.series))
    data = [trace for s in panel.series for trace in _traces(s, names.index(s.name), panel)]
    shapes, notes = [], []
    for axis, where, label in panel.guides:
        at = math.log10(where) if (panel.x if axis == "x" else panel.y).log else where
        across = {
            "x": {"x0": where, "x1": where, "y0": 0, "y1": 1, "yref": "paper"},
            "y": {"y0": where, "y1": where, "x0": 0, "x1": 1, "xref": "paper"},
        }[axis]
        shapes.append({"type": "line", "line": {"dash": "dash", "width": 1, "color": "#888888"}, **across})
        place = {"x": at, "y": 1, "yref": "paper"} if axis == "x" else {"y": at, "x": 1, "xref": "paper"}
        notes.append({**place, "text": _safe(label), "showarrow": False, "xanchor": "right", "yanchor": "bottom"})
    layout = {
        "xaxis": _axis(panel.x),
        "yaxis": _axis(panel.y),
        "shapes": shapes,
        "annotations": notes,
        "showlegend": len(names) > 1,
        "height": 400 + 18 * max(0, len(names) - 6),
        "scattermode": "group" if panel.beside else "overlay",
    }
    return {"data": data, "layout": layout, "title": panel.title}


def _axis(axis: Axis) -> dict[str, Any]:
    log = {"type": "log", "exponentformat": "power", "dtick": None} if axis.log else {}
    return {"title": {"text": _safe(axis.title)}, "automargin": True, **log}


def _traces(series: Series, number: int, panel: Panel) -> list[dict[str, Any]]:
    colour, dash, symbol = look(number)
    x = [_safe(v) if isinstance(v, str) else v for v in series.x]
    own = {
        "type": "scatter",
        "name": _safe(series.name),
        "x": x,
        "y": list(series.y),
        "legendgroup": str(number),
        "mode": "+".join(w for w, on in (("lines", series.line), ("markers", series.marks)) if on),
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"color": colour, "symbol": symbol, "size": 7 if len(x) < 400 else 4},
    }
    if series.hover:
        own |= {
            "text": [_safe(h) for h in series.hover],
            "hovertemplate": "%{text}<br>%{x}: %{y}<extra>%{fullData.name}</extra>",
        }
    if series.low is None or series.high is None:
        return [own]
    if not series.band:
        above = [h - y for h, y in zip(series.high, series.y, strict=True)]
        below = [y - w for w, y in zip(series.low, series.y, strict=True)]
        own["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": above,
            "arrayminus": below,
            "color": colour,
            "thickness": 1.2,
        }
        return [own]
    edge = {
        "type": "scatter",
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": str(number),
    }
    fill = {"fill": "tonexty", "fillcolor": colour + "30"}
    return [{**edge, "y": list(series.low)}, {**edge, "y": list(series.high), **fill}, own]


def _grid(grid: Grid, panel: GridPanel) -> dict[str, Any]:
    last = max(len(grid.levels) - 1, 1)
    steps = [[i / (last + 1), c] for i, (_, c) in enumerate(grid.levels)]
    steps = [pair for i, (_, c) in enumerate(steps) for pair in ([i / (last + 1), c], [(i + 1) / (last + 1), c])]
    rows, columns = _distinct(grid.rows), _distinct(grid.columns)
    text = [[_safe(note) for note in row] for row in panel.notes]
    names = [[_safe(grid.levels[c][0]) if c is not None else "" for c in row] for row in panel.cells]
    heat = {
        "type": "heatmap",
        "x": columns,
        "y": rows,
        "z": [list(row) for row in panel.cells],
        "text": text,
        "customdata": names,
        "texttemplate": "%{text}",
        "colorscale": steps,
        "zmin": -0.5,
        "zmax": last + 0.5,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "hovertemplate": "%{y}<br>%{x}<br>%{customdata} %{text}<extra></extra>",
    }
    key = [
        {
            "type": "scatter",
            "x": [None],
            "y": [None],
            "mode": "markers",
            "name": _safe(name),
            "showlegend": True,
            "marker": {"color": colour, "symbol": "square", "size": 11, "line": {"color": "#888888", "width": 1}},
        }
        for name, colour in grid.levels
    ]
    layout = {
        "xaxis": {"automargin": True, "tickangle": -60, "type": "category", "constrain": "domain"},
        "yaxis": {"automargin": True, "autorange": "reversed", "type": "category"},
        "showlegend": True,
        "height": 220 + 24 * len(rows),
    }
    return {
        "data": [heat, *key],
        "layout": layout,
        "title": panel.title,
        "wide": len(columns) > 7,
        "columns": len(columns),
    }


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels, made different where two are alike: an axis of names puts those that are alike into one place."""
    seen: dict[str, int] = {}
    made = []
    for label in map(_safe, labels):
        seen[label] = seen.get(label, 0) + 1
        made.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return made


def _safe(text: object) -> str:
    """A user's words for plotly, which reads tags and, between dollars, mathematics."""
    return html.escape(clip(str(text), 120), quote=False).replace("$", "&#36;")


def rows(table: Table, more: Sequence[Column] = ()) -> dict[str, Any]:
    """A table's columns: numbers as they are, words as indices into the distinct ones."""
    made = []
    for column in {c.name: c for c in (*table.columns, *more)}.values():
        values = table.frame[column.name].tolist()
        entry: dict[str, Any] = {"name": column.name, "title": column.title, "kind": column.kind}
        if column.kind in ("number", "count"):
            made.append({**entry, "values": [_rounded(v) for v in values]})
        else:
            words = {word: i for i, word in enumerate(dict.fromkeys(map(str, values)))}
            made.append({**entry, "words": list(words), "values": [words[str(v)] for v in values]})
    hidden = len({c.name for c in (*table.columns, *more)}) - len({c.name for c in table.columns})
    return {"columns": made, "shown": len(made) - hidden, "rows": len(table.frame)}


def _rounded(value: float) -> float | None:
    """Six digits: the page is for reading, the run's own table keeps them all."""
    return float(f"{value:.6g}") if math.isfinite(value) else value


def explorer(block: Explorer) -> dict[str, Any]:
    def named(columns: Sequence[Column]) -> list[Mapping[str, str]]:
        return [{"name": c.name, "title": c.title} for c in columns]

    return {
        "table": block.table.id,
        "quantities": named(block.quantities),
        "by": named(block.by),
        "joined": list(block.joined),
        "along": block.along,
        "x": block.x,
        "y": block.y,
        "colour": block.colour,
        "filters": dict(block.filters),
        "colours": COLOURS,
        "dashes": DASHES,
        "symbols": SYMBOLS,
    }


def plain(value: Any) -> Any:
    """For JSON, which has neither infinities nor NaN: "Infinity", "-Infinity" and null."""
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
