"""What a library counts itself, passed on by its engine to whoever measures the engine.

An engine whose library reports its own steps (as most do that do not call back) says so once a solve; nobody needs to
listen. Names are those of the counts in `odecheck.cost.Counts`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_TOLD: ContextVar[dict[str, int] | None] = ContextVar("odecheck_tally", default=None)


def tell(**counts: int) -> None:
    """Add to the counts of the measurement around, if there is one: tell(accepted_forward=12, rejected_forward=1)."""
    told = _TOLD.get()
    if told is not None:
        for name, count in counts.items():
            told[name] = told.get(name, 0) + int(count)


@contextmanager
def listening() -> Generator[dict[str, int]]:
    """Collect what engines tell within this block: name → count."""
    told: dict[str, int] = {}
    token = _TOLD.set(told)
    try:
        yield told
    finally:
        _TOLD.reset(token)
