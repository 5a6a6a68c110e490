"""Hard problems whose flows and sensitivities are known: what an error bar has to cover, or refuse.

Each family draws problems of one kind: features in time, in the state, in the sensitivities alone, jumps, kinks, combs,
tiny and huge scales, starts at zero, stiff and long ones, poles, fast oscillations, tiny intervals, late and decreasing
times, rows, mixed components. A new family is one function `rng → Hard` in the `FAMILIES` of a module here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import hard_in_state, hard_in_time
from .hard_problem import Hard

FAMILIES: dict[str, Callable[[np.random.Generator], Hard]] = hard_in_time.FAMILIES | hard_in_state.FAMILIES


def drawn(seed: int) -> Hard:
    """A hard problem: the families in turn, each at random widths, sizes and positions."""
    names = list(FAMILIES)
    return FAMILIES[names[seed % len(names)]](np.random.default_rng([seed, 811]))
