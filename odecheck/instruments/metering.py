"""What the solves of one claim cost: evaluations of the field, solves, seconds."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Meter:
    """What the solves of one claim cost.

    Attributes:
        nfe: Evaluations of the field, each with a whole batch.
        solves: Solves, those for derivatives included.
        seconds: Of the clock.
        size: The smallest state of any solve, by its largest component: what tolerances are to be compared with.
    """

    nfe: int = 0
    solves: int = 0
    seconds: float = 0.0
    size: float = float("inf")


_METER: ContextVar[Meter | None] = ContextVar("odecheck_meter", default=None)


@contextmanager
def metered() -> Generator[Meter]:
    """Count what the subject does within this block. An observation that was kept from before counts as done again.

    Yields:
        The costs so far.
    """
    meter = Meter()
    token = _METER.set(meter)
    try:
        yield meter
    finally:
        _METER.reset(token)


def charge(cost: Meter) -> None:
    """Count a cost, measured in a block of its own, in the enclosing block of `metered` as well.

    Args:
        cost: What was measured.
    """
    meter = _METER.get()
    if meter is not None:
        meter.nfe += cost.nfe
        meter.solves += cost.solves
        meter.seconds += cost.seconds
        meter.size = min(meter.size, cost.size)


def to_be_kept(action: Callable[[], T]) -> tuple[T, Meter]:
    """Do something whose answer is kept, with what it cost: whoever is given it is charged that.

    Args:
        action: Called once. What it raises is not kept, and its cost is charged here.

    Returns:
        What the action gives, and the cost, which has been charged to nobody yet.
    """
    cost = Meter()
    try:
        with metered() as cost:
            return action(), cost
    except BaseException:
        charge(cost)
        raise
