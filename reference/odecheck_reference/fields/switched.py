"""y' = a y before a given time, y' = b y from then on: discontinuous in time, solved in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bounded import Array
from .assembly import Assembly, OwnRate
from .field import AnyArray, Jet
from .functions import positive


@dataclass(frozen=True)
class Switched(OwnRate):
    """F = a y for t < at, F = b y for t >= at. theta = a, b.

    at: the time of the jump, no parameter: nothing is differentiated in it.
    """

    at: float

    @property
    def state(self) -> int:
        return 1

    @property
    def params(self) -> int:
        return 2

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, 1)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, 1, order)
        which = int(positive(np.asarray(out.t - self.at)))
        rate, rows = out.theta[which], slice(0, 1)
        out.add(rows, rate * out.y)
        if order == 0:
            return out.jet()
        of_y, of_rate = out.of_state(rows), out.of_theta(which, 1)
        out.add_first_diagonal(rows, of_y, rate)
        out.add_first(rows, of_rate, out.y[:, None, :])
        if order == 2:
            out.add_mixed_diagonal(rows, of_rate, of_y, 1)
        return out.jet()

    def spent(self, start: float, t: float) -> Array:
        """How long a and b act between start and t: (2,), negative backwards in time."""
        before = min(t, self.at) - min(start, self.at)
        return np.array([before, (t - start) - before])

    def solution(self, start: float, t: float, y0: Array, theta: Array) -> Array:
        """y(t) = y0 exp(a · (time before the jump) + b · (time after it)): (batch, 1)."""
        return y0 * np.exp(self.spent(start, t) @ theta)


EXAMPLES: Mapping[str, Switched] = {"before the switch": Switched(at=9.0), "after the switch": Switched(at=-9.0)}
