"""Series of made-up values, one for each commit."""

from __future__ import annotations

from odecheck.bench import Point, Series


def series(*points, kind="count", unit="count"):
    made = [Point(str(i), *((p,) if isinstance(p, str) else ("measured", p))) for i, p in enumerate(points)]
    return Series("b", (), 0, kind, unit, tuple(made))
