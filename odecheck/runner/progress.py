"""A bar with the time that is left, on a terminal and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from odecheck.foreign import one_line

if TYPE_CHECKING:
    from odecheck.record import Record


def in_notebook() -> bool:
    """Whether this is a notebook, where a bar can be shown."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter


class Progress:
    """A bar on the terminal or in a notebook, and nothing where there is neither.

    Args:
        total: How many there are.
        costs: `Record.key`, or the name of a piece of work → what it costs, in any unit: with these the bar, and the
            time that is left, go by cost and not by number.
    """

    def __init__(self, total: int, *, costs: Mapping[Any, float] | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.costs, self.of, self.done = costs, total, 0
        columns = (
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        seen = console.is_terminal or console.is_jupyter
        self.bar = Progress(*columns, console=console, transient=True, disable=not seen)
        self.task = self.bar.add_task("", total=total if costs is None else sum(costs.values()), count=f"0/{total}")

    def __call__(self, record: Record) -> None:
        """One more record is there."""
        cost = 1.0 if self.costs is None else self.costs.get(record.key, 0.0)
        self._advance(f"{record.claim} {record.problem}", 1, cost)

    def step(self, description: str, advance: int = 1) -> None:
        """One more is done, or several; with costs it is the one of this name."""
        self._advance(description, advance, advance if self.costs is None else self.costs.get(description, 0.0))

    def _advance(self, description: str, number: int, cost: float) -> None:
        self.done += number
        count = f"{self.done}/{self.of}"
        self.bar.update(self.task, advance=cost, description=one_line(description, 60), count=count)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
