"""The caption of a figure, with what could not be drawn of it."""

from __future__ import annotations

import math
from typing import Any

from .text import Chart, Explorer, Grid, Panel


def caption(block: Chart | Grid | Explorer) -> str:
    lost = sum(_lost(panel) for panel in block.panels) if isinstance(block, Chart) else 0
    note = f" Not drawn: {lost:,} points that are not finite, or not positive on a logarithmic axis." if lost else ""
    return f"{block.caption}{note}"


def _lost(panel: Panel) -> int:
    def fits(value: Any, log: bool) -> bool:
        return isinstance(value, str) or (math.isfinite(value) and (value > 0 or not log))

    pairs = ((x, y) for series in panel.series for x, y in zip(series.x, series.y, strict=True))
    return sum(not (fits(x, panel.x.log) and fits(y, panel.y.log)) for x, y in pairs)
