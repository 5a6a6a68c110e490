"""What is kept while one unit of work lasts, and forgotten with it.

A unit of work is one subject on one problem with all the claims that are asked of the two: they share solutions. An
answer that outlived it would be believed of a model that has been changed since.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Kept = dict[Hashable, Any]
_KEPT: ContextVar[Kept | None] = ContextVar("odecheck_unit_of_work", default=None)


@contextmanager
def unit_of_work(kept: Kept | None = None) -> Generator[None]:
    """One unit of work, or a part of the one that is open already.

    Args:
        kept: what was kept by former parts of the unit, for one that is not done in one go.
    """
    if kept is None and _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({} if kept is None else kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept_so_far() -> Kept:
    """What the open unit of work keeps, or a new one's nothing."""
    kept = _KEPT.get()
    return {} if kept is None else kept


def kept_in_unit(function: Callable[P, T]) -> Callable[P, T]:
    """Work out the function once for the same arguments in one unit of work; outside of any, every time.

    Args:
        function: of arguments that can be hashed.
    """

    @functools.wraps(function)
    def once(*args: P.args, **kwargs: P.kwargs) -> T:
        kept = _KEPT.get()
        if kept is None:
            return function(*args, **kwargs)
        key = (function, args, tuple(sorted(kwargs.items())))
        if key not in kept:
            kept[key] = function(*args, **kwargs)
        return kept[key]

    return once
