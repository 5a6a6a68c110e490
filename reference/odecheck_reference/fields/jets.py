"""The jets of a field at many times: all at once where the field takes a time for each row, else one by one."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np

from ..bounded import Array
from .field import Field, Jet

# rows that are computed both ways, and by how much the two may differ: products of other shapes are rounded otherwise
COMPARED = 3
ROUNDED = 1e-12


class Jets:
    """Jets of one field at (m,) times and (m, batch, state) states.

    Whether the field can be asked with a time for each row is found out by asking it both ways at a few of the rows;
    an exception, another shape or another value means no.
    """

    def __init__(self, field: Field, theta: Array, order: int) -> None:
        self.field, self.theta, self.order = field, theta, order
        self.at_once: bool | None = None

    def __call__(self, t: Array, y: Array) -> Jet:
        """value (m, batch, state), first (m, batch, state, N), second (m, batch, state, N, N)."""
        if self.at_once is None:
            if len(t) < 2:  # a single time passes for a number
                return self._loop(t, y)
            self.at_once = self._try(t, y)
        return self._all(t, y) if self.at_once else self._loop(t, y)

    def alone(self, t: Array, y: Array) -> float:
        """CPU seconds of one call at one state (batch, state), the shorter of two; 0 where all times go at once.

        A field with `rows_at_once` takes so many rows together and no more: its single call is what counts.
        """
        with np.errstate(all="ignore"):
            self(t, np.stack([y] * len(t)))
        if self.at_once and not hasattr(self.field, "rows_at_once"):
            return 0.0
        found: list[float] = []
        for _ in range(2):
            start = process_time()
            self.field.jet(float(t[0]), y, self.theta, self.order)
            found.append(process_time() - start)
        return min(found)

    def _all(self, t: Array, y: Array) -> Jet:
        m, batch, d = y.shape
        got = self.field.jet(np.repeat(t, batch)[:, None], y.reshape(m * batch, d), self.theta, self.order)
        parts = (got.value, got.first, got.second)
        return Jet(*(None if x is None else x.reshape(m, batch, *x.shape[1:]) for x in parts))  # type: ignore[arg-type]

    def _loop(self, t: Array, y: Array) -> Jet:
        got = [self.field.jet(float(time), state, self.theta, self.order) for time, state in zip(t, y, strict=True)]

        def stacked(name: str) -> Any:
            return None if getattr(got[0], name) is None else np.stack([getattr(one, name) for one in got])

        return Jet(stacked("value"), stacked("first"), stacked("second"))

    def _try(self, t: Array, y: Array) -> bool:
        few = np.unique(np.linspace(0, len(t) - 1, COMPARED + 2).astype(int))
        slow = self._loop(t[few], y[few])
        try:
            fast = self._all(t[few], y[few])
        except Exception:  # whatever a field that was written for one time raises
            return False
        pairs = ((slow.value, fast.value), (slow.first, fast.first), (slow.second, fast.second))
        return all(_alike(a, b) for a, b in pairs if a is not None)


def _alike(a: Any, b: Any) -> bool:
    if b is None or a.shape != b.shape:
        return False
    size = np.max(np.abs(a), initial=0.0)
    near = np.abs(np.nan_to_num(a - b)) <= ROUNDED * size
    return bool(np.array_equal(np.isfinite(a), np.isfinite(b)) and near.all())
