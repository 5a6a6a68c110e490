"""Bars that are made wider by what their ingredients do to a value."""

from __future__ import annotations

import numpy as np

from .bounded import Array, Bounded


def at_least(seen: Bounded, propagated: float) -> Bounded:
    """The same with a bar not below `propagated`, what the bars of its ingredients do to it."""
    missing = max(propagated - float(np.max(seen.radius, initial=0.0)), 0.0)
    return Bounded(seen.value, {**seen.budget, "propagated": missing})


def largest_mean(changes: Array, axis: int) -> float:
    """The largest root mean square along an axis; of numbers of 1e-200 or 1e200 as well, whose squares are none."""
    size = float(np.max(np.abs(changes), initial=0.0))
    if not 0.0 < size < np.inf:
        return size
    return size * float(np.sqrt(np.mean((changes / size) ** 2, axis=axis)).max())
