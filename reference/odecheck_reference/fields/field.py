"""What a vector field is to the reference: a value with hand-derived first and second derivatives.

All derivatives are taken with respect to one joint variable

    z = (t, y, theta),   N = 1 + state + params components in this order,

so that a field has exactly three things to get right, its *jet*:

    value   F        (batch, state)
    first   dF/dz    (batch, state, N)
    second  d2F/dz2  (batch, state, N, N), symmetric in its last two axes

Rows of a batch never see each other; `t` and `theta` are shared by all of them.
Every formula runs on float64, on complex128 (the complex-step test of the derivatives) and on object
arrays of mpmath numbers (the 30-digit Taylor solution); `functions` has the elementary functions for all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Jet:
    """Value, first and second derivatives of a field at (t, y, theta); `None` beyond the order asked for."""

    value: AnyArray
    first: AnyArray | None = None
    second: AnyArray | None = None


@runtime_checkable
class Field(Protocol):
    """y' = F(t, y, theta), row by row.

    state: number of components of one row of y.
    params: number of components of theta, in the order in which the torch twin's `parameters()` come, flattened.
    parts: named parts of the state, e.g. {"h": slice(0, 2), "m": slice(2, 4)}; they tile the state.
    """

    @property
    def state(self) -> int: ...
    @property
    def params(self) -> int: ...
    @property
    def parts(self) -> Mapping[str, slice]: ...

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        """The jet at (t, y, theta). t: scalar; y: (batch, state); theta: (params,); order: 0, 1 or 2.

        A field that also takes t of shape (batch, 1), a time for each row, is scanned many times as fast: see `jets`.
        """
        ...


def split(state: int) -> tuple[slice, slice, slice]:
    """Where t, y and theta sit on a jet's derivative axes."""
    return slice(0, 1), slice(1, 1 + state), slice(1 + state, None)


def zeros(y: AnyArray, *shape: int) -> AnyArray:
    """An array of zeros with the number type of y (float64, complex128 or mpmath objects)."""
    return np.zeros(shape, dtype=y.dtype) if y.dtype != object else np.full(shape, y.flat[0] * 0, dtype=object)
