"""A system of a state and layers that depend on it, and what its stiffness leaves of a change."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .bounded import Array
from .fields.field import Jet

# a row of so many numbers has linear systems of seven times that; so many numbers are in the slopes at one time
LARGEST_ROW, LARGEST_SLOPES = 100, 2**16


class Layered(Protocol):
    """A system w = [state | layer | ...]: a state that moves by itself, and layers that depend linearly on themselves.

    Attributes:
        rows: batch and state, the shape of the state.
        p: state and parameters of a row: slopes come in so many columns.
        layers: of each further layer its slice of w and the columns of each row: it is (batch, state, columns).
        pattern: which component of w (columns) moves which of w' (rows), a sparse matrix of ones.
    """

    @property
    def rows(self) -> tuple[int, int]: ...
    @property
    def p(self) -> int: ...
    @property
    def layers(self) -> list[tuple[slice, int]]: ...
    @property
    def pattern(self) -> Any: ...

    def values(self, t: Array, y: Array) -> Array:
        """F at (m,) times and (m, batch, state) states."""
        ...

    def sloped(self, t: Array, y: Array) -> Jet:
        """The jets there that the layers need, of the first order at least."""
        ...

    def rates(self, jet: Jet, w: Array) -> Array:
        """w' (m, size) from the jets at the states of w."""
        ...


def is_small(system: Layered) -> bool:
    """Whether implicit steps of high order are affordable: their slopes are asked of the field in all its columns."""
    batch, d = system.rows
    return d <= LARGEST_ROW and batch * d * system.p <= LARGEST_SLOPES


def forgotten(system: Layered, t: Array, w: Array, h: Array, change: Array) -> Array:
    """(1 − h F_y)⁻¹ change, in layers: what a stiff system leaves of a change within an implicit step of length h.

    Args:
        system: the layers.
        t: times (m,).
        w: (m, n).
        h: lengths (m,), with the sign of the way.
        change: (m, n).
    """
    (batch, d), out = system.rows, np.empty_like(change)
    first = system.sloped(t, w[:, : batch * d].reshape(-1, batch, d)).first
    assert first is not None
    matrix = np.eye(d) - h[:, None, None, None] * first[..., 1 : 1 + d]
    for where, columns in [(slice(0, batch * d), 1), *system.layers]:
        part = np.nan_to_num(change[:, where], posinf=1e300, neginf=-1e300).reshape(-1, batch, d, columns)
        out[:, where] = np.linalg.solve(matrix, part).reshape(len(t), -1)
    return out


def reach(system: Layered, t: Array, w: Array, h: Array) -> Array:
    """(1 − h F_y)⁻¹ h w' (m, n): how far an implicit step leads from each w; arguments are those of `forgotten`."""
    y = w[:, : system.rows[0] * system.rows[1]].reshape(-1, *system.rows)
    return forgotten(system, t, w, h, h[:, None] * system.rates(system.sloped(t, y), w))
