"""What engines tell of their steps, whose library counts its own: a measurement listens, an engine tells.

A solver that calls callbacks at its steps need not tell: `step_counts` counts those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

STEPS = ("accepted_forward", "rejected_forward", "accepted_backward", "rejected_backward")


@dataclass
class Told:
    """What the engines have told a measurement so far.

    Attributes:
        counts: Name of a count → how often, of `STEPS` and the evaluations `nfe_forward` and `nfe_backward`.
        direction: Which way the solve goes now; the measurement knows it.
        later: What is asked at the end, such as the statistics of a library that keeps them as tensors, and adds to
            them in a backward solve.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    direction: Literal["forward", "backward"] = "forward"
    later: list[Callable[[], dict[str, int]]] = field(default_factory=list[Callable[[], dict[str, int]]])

    def add(self, **counts: int) -> None:
        """Add to the counts of these names.

        Args:
            counts: Name of a count → how many more.
        """
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + int(count)

    def step(self, *, accepted: bool) -> None:
        """Count one step of the direction that is on. Who tells of one tells of all: the others are none.

        Args:
            accepted: Whether the solver went on from the step's end.
        """
        for name in STEPS:
            self.counts.setdefault(name, 0)
        self.counts[f"{'accepted' if accepted else 'rejected'}_{self.direction}"] += 1

    def settled(self) -> dict[str, int]:
        """All counts, with what was to be asked at the end.

        Returns:
            Name of a count → how often.
        """
        for counts in self.later:
            self.add(**counts())
        self.later.clear()
        return self.counts


class Times:
    """A callback of steps that looks at their times alone: our engines call it without making tensors for it.

    Args:
        take: Called with (start, state or None, size), start and size being numbers or tensors.
    """

    def __init__(self, take: Callable[[Any, Any, Any], None]) -> None:
        self.take = take

    def __call__(self, start: Any, state: Any, size: Any) -> None:
        """One step."""
        self.take(start, state, size)


_TOLD: ContextVar[Told | None] = ContextVar("odecheck_step_counts", default=None)


def listener() -> Told | None:
    """The measurement of what is computed now, if there is one.

    An engine that tells in a backward pass asks for it beforehand: autograd runs that in other threads on a GPU.

    Returns:
        The measurement to tell, or None.
    """
    return _TOLD.get()


def tell(**counts: int) -> None:
    """Add to the counts of the measurement around, if there is one.

    Args:
        counts: Name of a count → how many more, for example `tell(accepted_forward=12, rejected_forward=1)`.
    """
    told = _TOLD.get()
    if told is not None:
        told.add(**counts)


@contextmanager
def listening() -> Generator[Told]:
    """Collect what engines tell within this block.

    Yields:
        What was told so far.
    """
    told = Told()
    token = _TOLD.set(told)
    try:
        yield told
    finally:
        _TOLD.reset(token)
