"""Numbers that a field holds or that stand in its formula, as places to look closer at.

The centre of a spike is often written down where anybody can read it: an attribute of the field, a parameter, a number
in its code. Around each such number c, the times c ± 10⁻ᵏ are looked between, and so are the times around those at
which a component of the state is c. No promise hangs on it: a feature found so is found, and what is certainly looked
at is published without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any, cast

import numpy as np

from .bounded import Array
from .fields.field import AnyArray

# numbers of an array or of theta, of all together, of crossings, and the depth of attributes inside attributes
LONGEST_ARRAY, MOST, MOST_PLACES, DEEPEST = 32, 64, 48, 4
# trivial numbers, which say nothing about a place
TRIVIAL = frozenset((0.0, 1.0, -1.0, 2.0, -2.0))
REACH: Array = np.concatenate([-(10.0 ** -np.arange(1, 11)), [0.0], 10.0 ** -np.arange(10, 0, -1)])
METHODS = ("jet", "forward", "table", "value", "__call__")


def numbers(field: Any, theta: Array) -> Array:
    """Numbers that the field holds, that its parameters are, and that stand in its code; at most MOST of them."""
    found = dict[float, None]()
    for number in _held(field, 0):
        found[number] = None
    if len(theta) <= LONGEST_ARRAY:
        found.update(dict.fromkeys(theta.tolist()))
    for code in _codes(field):
        found.update(dict.fromkeys(_in_code(code)))
    return np.array([x for x in found if np.isfinite(x) and x not in TRIVIAL][:MOST])


def _held(thing: Any, depth: int) -> Iterator[float]:
    if isinstance(thing, bool) or depth > DEEPEST:
        return
    if isinstance(thing, int | float):
        yield float(thing)
    elif isinstance(thing, np.ndarray):
        array = cast(AnyArray, thing)
        if array.size <= LONGEST_ARRAY and array.dtype.kind in "fiu":
            yield from array.astype(float).ravel().tolist()
    elif isinstance(thing, tuple | list):
        if len(thing) <= LONGEST_ARRAY:  # pyright: ignore[reportUnknownArgumentType]
            for part in thing:  # pyright: ignore[reportUnknownVariableType]
                yield from _held(part, depth + 1)
    elif type(thing).__module__ != "builtins" and not inspect.ismodule(thing) and not callable(thing):
        for part in list(getattr(thing, "__dict__", {}).values()):
            yield from _held(part, depth + 1)


def _codes(field: Any) -> Iterator[CodeType]:
    """The code of the field's own formula, and of what it holds beside it."""
    holders = [field, *list(getattr(field, "__dict__", {}).values())]
    for holder in holders:
        for name in METHODS:
            method = getattr(cast(Any, type(holder)), name, None)
            code = getattr(method, "__code__", None)
            if isinstance(code, CodeType):
                yield code
        own = getattr(holder, "__code__", None)
        if isinstance(own, CodeType):
            yield own
            for cell in getattr(holder, "__closure__", None) or ():
                inner = getattr(cell.cell_contents, "__code__", None)
                if isinstance(inner, CodeType):
                    yield inner


def _in_code(code: CodeType) -> Iterator[float]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _in_code(constant)
        else:
            yield from _held(constant, DEEPEST - 1)


def marks(known: Array, ts: Array, k: int, grid: Array, states: Array) -> Array:
    """Points of segment k, in increasing order, between which to look.

    known: numbers; states (points, n) at the points `grid` of the segment: where a component is one of the numbers.
    """
    length = float(ts[k + 1] - ts[k])
    near = [x for x in ((known - ts[k]) / length).tolist() if -0.1 <= x <= 1.1]
    for c in known:
        above = states > c
        rows, columns = np.nonzero(above[1:] != above[:-1])
        before, after = states[rows, columns], states[rows + 1, columns]
        with np.errstate(all="ignore"):
            share = np.clip(np.nan_to_num((c - before) / (after - before)), 0, 1)
        near += (grid[rows] + share * (grid[rows + 1] - grid[rows])).tolist()
    if not near:
        return np.zeros(0)
    around = np.array(near[:MOST_PLACES])[:, None] + REACH
    return np.unique(np.clip(around, 0.0, 1.0))
