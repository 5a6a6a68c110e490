"""Bars that are made wider by what their ingredients do to a value."""

from __future__ import annotations

import numpy as np

from .bounded import Bounded


def at_least(seen: Bounded, propagated: float) -> Bounded:
    """The same with a bar not below `propagated`, what the bars of its ingredients do to it."""
    missing = max(propagated - float(np.max(seen.radius, initial=0.0)), 0.0)
    return Bounded(seen.value, {**seen.budget, "propagated": missing})
