"""The solution of a field in float64 as a function of time, in memory that does not grow with the number of steps.

scipy's DOP853 steps forwards. Its interpolants are kept while they fit into LARGEST bytes; beyond that only the states
at the ends of chunks of steps are, and a chunk is stepped again when somebody asks for a time inside.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array

DOP853: Any = scipy.integrate.DOP853

LARGEST = 192 * 2**20
# doubles that one interpolant of DOP853 holds, for each state
INTERPOLANT = 9
# absolute tolerance over relative tolerance, in units of the size of the state
ABSOLUTE = 1e-2


class OutOfBudget(ArithmeticError):
    """The seconds or the evaluations granted were used up, or a solver gave up, before an answer was there."""


@dataclass
class _Chunk:
    """Steps from `start` (where the state is y) to `end`; interpolants: of each step, or None where not kept."""

    start: float
    end: float
    y: Array
    first_step: float | None
    steps: list[Any] | None


@dataclass
class Path:
    """y(t) between the first and the last of the times.

    at_times: (times, states) at the times that were asked for. steps: how many were made.
    """

    at_times: Array
    steps: int
    f: Callable[[float, Array], Array]
    rtol: float
    chunks: list[_Chunk] = field(default_factory=list[_Chunk])
    direction: float = 1.0

    def __call__(self, t: float) -> Array:
        """y(t), (states,)."""
        starts = [self.direction * chunk.start for chunk in self.chunks]
        i = max(0, min(bisect_right(starts, self.direction * t) - 1, len(starts) - 1))
        chunk = self.chunks[i]
        if chunk.steps is None:
            for other in self.chunks:
                other.steps = None
            chunk.steps = _stepped(self.f, chunk, self.rtol)
        at = bisect_left(chunk.steps, self.direction * t, key=lambda one: self.direction * one.t)
        return chunk.steps[min(at, len(chunk.steps) - 1)](t)

    @property
    def panels(self) -> Iterator[tuple[float, float]]:
        """The steps, from one end to the other; those that are not kept are stepped again."""
        for chunk in self.chunks:
            if chunk.steps is None:
                self(chunk.start + 1e-9 * (chunk.end - chunk.start))
            yield from ((one.t_old, one.t) for one in chunk.steps or ())


def scale_of(f: Callable[[float, Array], Array], t: float, y: Array, length: float) -> float:
    """The size that absolute tolerances are relative to: of y, or of what it becomes where it starts at zero."""
    return max(float(np.abs(y).max()), float(np.abs(f(t, y)).max()) * abs(length), 1e-300)


def path(
    f: Callable[[float, Array], Array],
    y0: Array,
    times: Array,
    *,
    rtol: float,
    breaks: tuple[float, ...] = (),
    dense: bool = True,
) -> Path:
    """Solve y' = f(t, y), y(times[0]) = y0, with DOP853.

    Args:
        f: the field on flat states.
        y0: (states,).
        times: (times,), monotone.
        rtol: of each step.
        breaks: further times at which steps have to end, where the field is not smooth.
        dense: whether the result is to be asked for other times.

    Raises:
        OutOfBudget: the step size vanished, or a value was not finite.
    """
    direction = 1.0 if times[-1] >= times[0] else -1.0
    between = [b for b in breaks if direction * times[0] < direction * b < direction * times[-1]]
    ends = sorted({*map(float, times), *between}, key=lambda t: direction * t)
    out = Path(np.empty((len(times), len(y0))), 0, f, rtol, direction=direction)
    room = max(1, LARGEST // (8 * INTERPOLANT * len(y0)))
    y, found = y0, {float(times[0]): y0}
    for a, b in pairwise(ends):
        y = _piece(out, a, b, y, room, dense)
        found[b] = y
    out.at_times[:] = [found[float(t)] for t in times]
    if out.steps > room:
        for chunk in out.chunks:
            chunk.steps = None
    return out


def _solver(f: Any, a: float, b: float, y: Array, rtol: float, first: float | None) -> Any:
    atol = rtol * ABSOLUTE * scale_of(f, a, y, b - a)
    return DOP853(f, a, y, b, rtol=max(rtol, 3e-14), atol=atol, first_step=first)


def _piece(out: Path, a: float, b: float, y: Array, room: int, dense: bool) -> Array:
    """Step from a to b, with a new chunk after every `room` steps."""
    solver = _solver(out.f, a, b, y, out.rtol, None)
    chunk = _Chunk(a, b, y, None, [])
    while solver.status == "running":
        _step(solver)
        out.steps += 1
        if not dense:
            continue
        if out.steps <= room and chunk.steps is not None:
            chunk.steps.append(solver.dense_output())
        chunk.end = solver.t
        if out.steps % room == 0 and solver.status == "running":
            out.chunks.append(chunk)
            first = min(solver.h_abs, abs(b - solver.t))
            chunk = _Chunk(solver.t, b, solver.y.copy(), first, [] if out.steps < room else None)
    out.chunks.append(chunk)
    return solver.y.copy()


def _stepped(f: Any, chunk: _Chunk, rtol: float) -> list[Any]:
    solver, steps = _solver(f, chunk.start, chunk.end, chunk.y, rtol, chunk.first_step), list[Any]()
    while solver.status == "running":
        _step(solver)
        steps.append(solver.dense_output())
    return steps


def _step(solver: Any) -> None:
    """One step. Raises OutOfBudget where it fails."""
    message = solver.step()
    if solver.status == "failed" or not np.isfinite(solver.y).all():
        raise OutOfBudget(message or f"a value was not finite at t = {solver.t:g}")
