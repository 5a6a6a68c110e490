"""When the steps end: torchdiffeq's options about times, turned into the stops of the stepping loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .stepping import Control, Step, Stepper, adaptive_steps, fixed_steps

ADAPTIVE_OPTIONS = {
    "first_step",
    "step_t",
    "jump_t",
    "min_step",
    "max_step",
    "safety",
    "ifactor",
    "dfactor",
    "max_num_steps",
    "norm",
    "dtype",
}
FIXED_OPTIONS = {"step_size", "grid_constructor", "perturb", "interp"}


def clock_of(t: Tensor) -> int:
    """The sign of the times (times,): 1 if they increase, -1 if they decrease.

    Raises:
        ValueError: they do neither, or are fewer than two.
    """
    times = t.reshape(-1).tolist()
    rises = [a < b for a, b in itertools.pairwise(times)]
    falls = [a > b for a, b in itertools.pairwise(times)]
    if t.ndim != 1 or len(t) < 2 or not (all(rises) or all(falls)):
        raise ValueError("t has to be a vector of two or more strictly increasing or decreasing times")
    return 1 if rises[0] else -1


def steps_of(
    stepper: Stepper, y: Tensor, t: Tensor, ups: list[float], control: Control, options: Mapping[str, Any]
) -> Iterator[Step]:
    """The accepted steps of a solve, every observation time of which ends one.

    Args:
        stepper: takes a step.
        y: the state at t[0], (state_size,).
        t: (times,) the observation times.
        ups: the same in the solver's clock, increasing.
        control: what decides on the length of an adaptive method's step.
        options: torchdiffeq's, for that method.

    Raises:
        ValueError: options that exclude each other, or a time that is no grid point of a method of fixed steps.
    """
    if not stepper.tableau.adaptive:
        return fixed_steps(stepper, y, _grid(stepper, y, t, ups, options), bool(options.get("perturb", False)))
    jumps = {stepper.clock * time for time in _floats(options.get("jump_t"))}
    if jumps and stepper.tableau.carries:
        raise ValueError("jump_t needs a method whose last stage is its step's end, such as dopri5")
    prescribed = {stepper.clock * time for time in _floats(options.get("step_t"))}
    stops = sorted(time for time in {*ups, *prescribed, *jumps} if ups[0] < time <= ups[-1])
    return adaptive_steps(stepper, y, ups[0], [(time, time in jumps) for time in stops], control)


def _floats(times: Tensor | Sequence[float] | None) -> list[float]:
    return [] if times is None else torch.as_tensor(times, dtype=torch.float64).reshape(-1).tolist()


def _grid(stepper: Stepper, y: Tensor, t: Tensor, ups: list[float], options: Mapping[str, Any]) -> list[float]:
    """The grid of torchdiffeq; a grid point within round-off of an observation time is moved onto it."""
    step_size, constructor = options.get("step_size"), options.get("grid_constructor")
    if step_size is not None and constructor is not None:
        raise ValueError("step_size and grid_constructor exclude each other")
    if step_size is not None:
        count = math.ceil((ups[-1] - ups[0]) / float(step_size) + 1)
        grid = [ups[0] + i * float(step_size) for i in range(count - 1)] + [ups[-1]]
    elif constructor is not None:
        grid = _floats(constructor(stepper.field, y.view(stepper.shape), stepper.clock * t))
    else:
        grid = list(ups)
    for time in ups:
        nearest = min(range(len(grid)), key=lambda i: abs(grid[i] - time))
        if abs(grid[nearest] - time) > 1e-9 * (ups[-1] - ups[0]):
            raise ValueError(
                f"the observation time {stepper.clock * time} is no grid point: choose a step_size that divides every "
                "interval, or a grid_constructor whose grid has every observation time"
            )
        grid[nearest] = time
    return grid
