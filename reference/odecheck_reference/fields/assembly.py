"""Where a block of a derivative goes: the bookkeeping every hand-derived jet shares, and nothing else.

A field writes each derivative as blocks, named by the components of z = (t, y, theta) they belong to.
Off-diagonal blocks of the second derivative are written once and land on both sides, so it is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .field import AnyArray, Jet

Index = NDArray[np.intp]
# Components of z at even distances, or several such pieces, each with its place in the block: what is written through
# slices is not copied, and a field is asked a hundred thousand times for one verdict.
Pieces = tuple[tuple[slice, slice], ...]
Part = slice | Pieces
WHOLE, NOTHING = slice(None), slice(0, 0)
Table = tuple[Sequence[Any], Mapping[tuple[int, int], Any], Mapping[tuple[int, int, int], Any]]


class Map(Protocol):
    """f(t, x, theta) from `inputs` to `outputs` numbers; a `Field` where the two are equal.

    Its jet is a field's jet with x in the place of y: first (batch, outputs, 1 + inputs + params).
    """

    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def params(self) -> int: ...
    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet: ...


class OwnRate:
    """A field as a map: as many numbers out as in."""

    @property
    def state(self) -> int:
        raise NotImplementedError("a field says how many components one row of its state has")

    @property
    def inputs(self) -> int:
        return self.state

    @property
    def outputs(self) -> int:
        return self.state


def _pieces(part: Part) -> Pieces:
    return part if isinstance(part, tuple) else ((WHOLE, part),)


class Assembly:
    """Collects the blocks of one jet.

    t, y, theta: brought to one number type (float64, complex128 or objects), so that a complex perturbation
    of any of them is carried by all the arithmetic. t is a scalar, or (batch, 1): a time for each row.
    """

    def __init__(self, t: Any, y: AnyArray, theta: AnyArray, outputs: int, order: int) -> None:
        kind = np.result_type(np.asarray(t), y, theta, np.float64)
        self.t = np.asarray(t, dtype=kind)
        self.y = np.asarray(y, dtype=kind)
        self.theta = np.asarray(theta, dtype=kind)
        self.order = order
        batch, state = self.y.shape
        self.size = 1 + state + len(self.theta)
        size, twice = (self.size if order > 0 else 0), (self.size if order > 1 else 0)
        self.value: AnyArray = self.zeros(batch, outputs)
        self.first: AnyArray = self.zeros(batch, outputs, size)
        self.second: AnyArray = self.zeros(batch, outputs, twice, twice)

    def zeros(self, *shape: int) -> AnyArray:
        """Zeros of the common number type; of the kind of mpmath numbers, where they are such."""
        if self.t.dtype != object:
            return np.zeros(shape, dtype=self.t.dtype)
        return np.full(shape, 0 * self.t.flat[0], dtype=object)

    def of_state(self, part: slice) -> slice:
        """Components of y as components of z."""
        return slice(1 + part.start, 1 + part.stop)

    def of_theta(self, start: int, params: int) -> slice:
        """theta[start : start + params] as components of z."""
        first = 1 + self.y.shape[1] + start
        return slice(first, first + params)

    def of_function(self, start: int, params: int, part: slice = NOTHING) -> Pieces:
        """The components of a function of t, y[part] and theta[start : start + params] as components of z."""
        inputs = part.stop - part.start
        own = (slice(0, 1), slice(1, 1 + inputs), slice(1 + inputs, 1 + inputs + params))
        return tuple(zip(own, (slice(0, 1), self.of_state(part), self.of_theta(start, params)), strict=True))

    def add(self, rows: slice, block: AnyArray) -> None:
        """F[rows] += block: (batch, rows)."""
        self.value[:, rows] += block

    def add_first(self, rows: slice, p: Part, block: AnyArray) -> None:
        """dF[rows] / dz[p] += block: (batch, rows, p)."""
        for own, place in _pieces(p):
            self.first[:, rows, place] += block[..., own]

    def add_first_diagonal(self, rows: slice, p: slice, block: Any) -> None:
        """dF[rows[i]] / dz[p[i]] += block[i]: (batch, rows)."""
        diagonal = np.einsum("bii->bi", self.first[:, rows, p])  # a view
        diagonal += block

    def add_second(self, rows: slice, p: Part, q: Part, block: AnyArray) -> None:
        """A block with itself: d2F[rows] / dz[p] dz[q] += block: (batch, rows, p, q)."""
        for own_p, place_p in _pieces(p):
            for own_q, place_q in _pieces(q):
                self.second[:, rows, place_p, place_q] += block[..., own_p, own_q]

    def add_mixed(self, rows: slice, p: Part, q: Part, block: AnyArray) -> None:
        """A block and its transpose: for both orders of p and q, block: (batch, rows, p, q)."""
        self.add_second(rows, p, q, block)
        self.add_second(rows, q, p, np.swapaxes(block, -1, -2))

    def add_mixed_diagonal(self, rows: slice, p: slice, q: slice, block: Any) -> None:
        """For both orders, d2F[rows[i]] / dz[p[i]] dz[q[i]] += block[i]: (batch, rows)."""
        for one, other in ((p, q), (q, p)):
            diagonal = np.einsum("biii->bi", self.second[:, rows, one, other])
            diagonal += block

    def add_second_diagonal(self, rows: slice, p: slice, block: Any) -> None:
        """d2F[rows[i]] / dz[p[i]]^2 += block[i]: (batch, rows)."""
        diagonal = np.einsum("biii->bi", self.second[:, rows, p, p])
        diagonal += block

    def add_mixed_rowwise(self, rows: slice, p: slice, q: Part, block: AnyArray) -> None:
        """For both orders, d2F[rows[i]] / dz[p[i]] dz[q] += block[i]: (batch, rows, q)."""
        for own, place in _pieces(q):
            diagonals = np.einsum("biiq->biq", self.second[:, rows, p, place])
            diagonals += block[..., own]
            diagonals = np.einsum("biqi->biq", self.second[:, rows, place, p])
            diagonals += block[..., own]

    def jet(self) -> Jet:
        return Jet(self.value, self.first if self.order > 0 else None, self.second if self.order > 1 else None)


def from_table(
    t: Any,
    y: AnyArray,
    theta: AnyArray,
    order: int,
    table: Callable[[AnyArray, tuple[AnyArray, ...], tuple[Any, ...]], Table],
) -> Jet:
    """The jet of a small field written out entry by entry.

    table(t, components of y, components of theta) → value, first, second; the keys are (row, p) and
    (row, p, q), p and q numbering z = (t, y, theta); a mixed entry is given once.
    """
    out = Assembly(t, y, theta, y.shape[1], order)
    times = out.t[:, 0] if out.t.ndim else out.t
    value, first, second = table(times, tuple(out.y.T), tuple(out.theta))
    for row, entry in enumerate(value):
        out.value[:, row] += entry
    if order > 0:
        for (row, p), entry in first.items():
            out.first[:, row, p] += entry
    if order > 1:
        for (row, p, q), entry in second.items():
            out.second[:, row, p, q] += entry
            if p != q:
                out.second[:, row, q, p] += entry
    return out.jet()
