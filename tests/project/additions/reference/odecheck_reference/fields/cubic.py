"""A cubic field: y' = −k y³."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .field import AnyArray, Jet


@dataclass(frozen=True)
class Cubic:
    """y' = −k y³: one state, one parameter k."""

    state = 1
    params = 1
    parts: ClassVar[Mapping[str, slice]] = {"h": slice(0, 1)}

    def jet(self, t: float | complex, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        k = theta[0]
        value = -k * y**3
        if order == 0:
            return Jet(value)
        first = np.zeros((*y.shape, 3), dtype=value.dtype)  # in t, y, k
        first[..., 1], first[..., 2] = -3 * k * y**2, -(y**3)
        if order == 1:
            return Jet(value, first)
        second = np.zeros((*y.shape, 3, 3), dtype=value.dtype)
        second[..., 1, 1] = -6 * k * y
        second[..., 1, 2] = second[..., 2, 1] = -3 * y**2
        return Jet(value, first, second)


EXAMPLES: Mapping[str, Cubic] = {"cubic": Cubic()}
