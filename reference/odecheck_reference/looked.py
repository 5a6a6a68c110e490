"""How narrow a feature was certainly looked at, by all that is asked of the reference within a block.

What is made of a quantity by hand loses its `Bounded.looked_at`; here it is not lost. Answers that are kept say it
again whenever they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import numpy as np

from .bounded import Array, Bounded
from .follow import Seen
from .on_disk import answer

P = ParamSpec("P")
T = TypeVar("T")
_WIDTHS: ContextVar[list[float] | None] = ContextVar("odecheck_reference_widths", default=None)


@contextmanager
def widths() -> Generator[list[float]]:
    """Gather how narrow a feature was certainly looked at.

    Yields:
        A list that grows with each quantity that is asked for: a width in units of time, 0.0 where nothing narrow can
        be missed, infinite where nothing was looked at in between.
    """
    found: list[float] = []
    token = _WIDTHS.set(found)
    try:
        yield found
    finally:
        _WIDTHS.reset(token)


def note(width: float | None) -> None:
    """Say how narrow a feature was looked at for a quantity; None: nothing narrow can be missed."""
    found = _WIDTHS.get()
    if found is not None:
        found.append(0.0 if width is None else float(width))


def _noting(function: Callable[P, T]) -> Callable[P, tuple[T, tuple[float, ...]]]:
    """The same, giving what was noted on the way beside its value."""

    @wraps(function)
    def noting(*args: P.args, **kwargs: P.kwargs) -> tuple[T, tuple[float, ...]]:
        with widths() as found:
            value = function(*args, **kwargs)
        return value, tuple(found)

    return noting


def kept(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Like `functools.lru_cache`, with what was noted on the way noted again at every call; on disk too, if asked for.

    On disk: within `on_disk.kept_in`, an answer that a former process has worked out is read.

    Args:
        maxsize: how many answers are kept.

    Returns:
        A decorator for a function of arguments that can be hashed.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @lru_cache(maxsize=maxsize)
        def once(*args: P.args, **kwargs: P.kwargs) -> tuple[T, tuple[float, ...]]:
            return answer(_noting(function), args, kwargs)

        @wraps(function)
        def again(*args: P.args, **kwargs: P.kwargs) -> T:
            value, found = once(*args, **kwargs)
            for width in found:
                note(width)
            return value

        return again

    return decorate


def looked_at(found: Bounded, seen: Seen | None) -> Bounded:
    """The same, saying how narrow a feature was certainly looked at."""
    if seen is None:
        return found
    note(seen.looked_at)
    return Bounded(found.value, found.budget, looked_at=seen.looked_at)


def with_seen(found: Bounded, seen: Seen | None, where: Callable[[Array], Array]) -> Bounded:
    """The same with the terms of the scan, in the largest of the components that `where` takes out of all."""
    if seen is None:
        return found
    terms = {"grain": seen.grain, "defect": seen.defect, "jumps": seen.jumps}
    sizes = {name: float(np.max(where(term), initial=0.0)) for name, term in terms.items()}
    return looked_at(Bounded(found.value, {**found.budget, **sizes}), seen)
