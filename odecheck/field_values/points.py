"""Where a field is asked: at a random time in each stratum, at states on, around and beyond the trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]
from odecheck_reference.bounded import Array

_integrate: Any = scipy.integrate  # its functions have no types
# how far the rows of one call lie from the trajectory, in sizes that the state takes along it
AROUND = (0.0, 0.03, 0.1, 0.3, 0.3, 1.0, 1.0, 3.0)
# a call takes as many rows as AROUND has where they are no more numbers than this
NUMBERS = 4096
# evaluations for the rough trajectory; a field that wants more of them is stiff or fast
EVALUATIONS = 400


@dataclass(frozen=True, eq=False)
class Path:
    """A rough trajectory: where to ask, and how large the state is.

    Args:
        times: (k,), monotone.
        states: (k, batch, state).
    """

    times: Array
    states: Array

    @property
    def size(self) -> Array:
        """The largest |y| of each component along it, (state,), > 0."""
        largest = np.max(np.abs(self.states), axis=(0, 1))
        moving = largest[largest > 0]
        return np.where(largest > 0, largest, np.min(moving) if moving.size else 1.0)

    @property
    def length(self) -> float:
        """The length of the interval, in units of time."""
        return float(abs(self.times[-1] - self.times[0]))

    def at(self, t: float) -> Array:
        """The state at a time.

        Args:
            t: Between the first and the last of the times.

        Returns:
            (batch, state), on the line between the two known ones beside it.
        """
        x = self.times if self.times[-1] > self.times[0] else -self.times
        at = t if self.times[-1] > self.times[0] else -t
        k = int(np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2))
        share = (at - x[k]) / (x[k + 1] - x[k])
        return (1 - share) * self.states[k] + share * self.states[k + 1]


def rough_path(value: Callable[[float, Array], Array], ts: Array, knots: Array) -> Path:
    """A path through known states, finer where a few hundred evaluations of the field reach the end.

    Args:
        value: (t, y) ↦ dy/dt, both (batch, state) float64.
        ts: (times,), monotone.
        knots: (times, batch, state), states that are known at ts.

    Returns:
        The steps of a method of order three at a tolerance of a hundredth; the knots alone where that fails.
    """
    left = EVALUATIONS

    def slope(t: float, y: Array) -> Array:
        nonlocal left
        left -= 1
        got = value(t, y.reshape(knots.shape[1:])).ravel()
        if left < 0 or not np.isfinite(got).all():
            raise ArithmeticError
        return got

    size = np.max(np.abs(knots), axis=(0, 1))
    floor = np.broadcast_to(1e-2 * np.where(size > 0, size, np.max(size) or 1.0), knots.shape[1:]).ravel()
    try:
        solved = _integrate.solve_ivp(slope, (ts[0], ts[-1]), knots[0].ravel(), "RK23", rtol=1e-2, atol=floor)
    except ArithmeticError:
        return Path(ts, knots)
    if not solved.success or len(solved.t) < 2:
        return Path(ts, knots)
    return Path(solved.t, solved.y.T.reshape(-1, *knots.shape[1:]))


def strata(ts: Array, count: int, rng: np.random.Generator) -> Array:
    """A random time in each of many equal parts of an interval.

    Args:
        ts: Times, of which the first and the last bound the interval.
        count: How many parts.
        rng: The generator.

    Returns:
        (count,), in the order of the parts.
    """
    return ts[0] + (ts[-1] - ts[0]) * (np.arange(count) + rng.random(count)) / count


def rows(path: Path, t: float, rng: np.random.Generator, *, thin: bool = False) -> Array:
    """States at a time, on the trajectory first, then around and beyond it.

    Rows of a batch do not see each other, so that many states cost little more than one; a large state is asked as
    it comes, at random distances.

    Args:
        path: The trajectory.
        t: The time.
        rng: The generator.
        thin: Half as many rows, of a field that is costly.

    Returns:
        (rows, state).
    """
    on, around = path.at(t), AROUND[:: 2 if thin else 1]
    if len(around) * on.shape[1] > NUMBERS or len(on) >= len(around):
        far = rng.choice(around, size=(len(on), 1))
    else:
        on = np.resize(on, (len(around), on.shape[1]))
        far = np.array(around)[:, None]
    return on + far * path.size * rng.standard_normal(on.shape)
