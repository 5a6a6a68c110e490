"""Bars that are made wider: by what their ingredients do to a value, and by what a scan saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bounded import Array, Bounded
from .follow import Seen


def at_least(seen: Bounded, propagated: float) -> Bounded:
    """The same with a bar not below `propagated`, what the bars of its ingredients do to it."""
    missing = max(propagated - float(np.max(seen.radius, initial=0.0)), 0.0)
    return Bounded(seen.value, {**seen.budget, "propagated": missing})


def looked_at(found: Bounded, seen: Seen | None) -> Bounded:
    """The same, saying how narrow a feature was certainly looked at."""
    return found if seen is None else Bounded(found.value, found.budget, looked_at=seen.looked_at)


def with_seen(found: Bounded, seen: Seen | None, where: Callable[[Array], Array]) -> Bounded:
    """The same with the terms of the scan, in the largest of the components that `where` takes out of all."""
    if seen is None:
        return found
    terms = {"grain": seen.grain, "defect": seen.defect, "jumps": seen.jumps}
    sizes = {name: float(np.max(where(term), initial=0.0)) for name, term in terms.items()}
    return looked_at(Bounded(found.value, {**found.budget, **sizes}), seen)
