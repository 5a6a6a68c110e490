"""A trajectory: the accepted steps of one solve, kept so that the steps themselves can be differentiated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from .compiled import CompiledSteps
from .stepping import Stepper
from .tableau import Tableau

if TYPE_CHECKING:
    from jaxtyping import Float

Route = Literal["auto", "blocks", "sweep", "unrolled"]


@dataclass(frozen=True)
class Segment:
    """Consecutive steps with their stages; n steps, s stages, states flattened to state_size.

    Attributes:
        first: index of the first step in the trajectory.
        sizes: (n,) step sizes, positive also for decreasing times.
        times: (n, s) stage times as the field saw them.
        points: (n, s, state_size) stage points.
        slopes: (n, s, state_size) field at the stage points, times the clock's sign.
    """

    first: int
    sizes: Tensor
    times: Tensor
    points: Tensor
    slopes: Tensor

    @property
    def steps(self) -> int:
        """How many steps the segment has."""
        return len(self.sizes)


@dataclass(frozen=True)
class Trajectory:
    """The accepted steps of one solve.

    Attributes:
        stepper: takes the steps again.
        solution: the state at the observation times; its first entry is y0.
        times: the observation times.
        observed: for every observation time the number of steps taken before it.
        parameters: name → tensor, what derivatives "in theta" are taken by.
        independent_rows: True, False or None (found out and verified at every stage point), see `record`.
        route: how the linear recursions run, see `record`.
        stride: steps per recomputed segment; None if every stage is kept.
        clock_starts: start of every accepted step, in the solver's clock.
        sizes: size of every accepted step, positive.
        stage_times: of every step the times of its stages, in the solver's clock.
        kept: of every step, or of every stride-th one, the state and the first stage point.
        slopes: of every step the slopes, if they are kept.
        versions: how often every parameter had been changed in place.
        graph: y0 as a leaf and the solution with its graph, where a gradient is cheapest by it.
        compiled: the steps by compiled graphs, if they were asked for and no doubt was left.
    """

    stepper: Stepper
    solution: Float[Tensor, " times *state"]
    times: Float[Tensor, " times"]
    observed: tuple[int, ...]
    parameters: dict[str, Tensor]
    independent_rows: bool | None
    route: Route
    stride: int | None
    clock_starts: list[float]
    sizes: list[float]
    stage_times: list[tuple[float, ...]]
    kept: list[tuple[Tensor, Tensor]]
    slopes: list[Tensor]
    versions: tuple[int, ...]
    graph: tuple[Tensor, Tensor] | None
    compiled: CompiledSteps | None = None

    @property
    def tableau(self) -> Tableau:
        """The method's coefficients."""
        return self.stepper.tableau

    @property
    def state_shape(self) -> torch.Size:
        """The shape of the state."""
        return self.stepper.shape

    @property
    def step_starts(self) -> list[float]:
        """Start of every accepted step, in the caller's time."""
        return [self.stepper.clock * start for start in self.clock_starts]

    @property
    def step_sizes(self) -> list[float]:
        """Size of every accepted step, negative for decreasing times."""
        return [self.stepper.clock * size for size in self.sizes]

    def bounds(self) -> list[tuple[int, int]]:
        """First and last-but-one step of every segment; one segment if nothing has to be recomputed."""
        n, stride = len(self.sizes), self.stride
        return [(0, n)] if stride is None else [(i, min(i + stride, n)) for i in range(0, n, stride)]

    def segment(self, index: int) -> Segment:
        """The stages of a segment, recomputed from its checkpoint if they were not kept.

        Args:
            index: which one, counted from the start.

        Raises:
            ValueError: the parameters were changed in place since the steps were recorded, or recomputing a
                segment does not end where the recorded solve did (a field with noise or with a state of its own).
        """
        self.unchanged()
        first, end = self.bounds()[index]
        steps = self._recorded(first, end) if self.stride is None else self._replayed(index, first, end)
        return self._stack(first, steps)

    def unchanged(self) -> None:
        """Refuse parameters that were changed in place since the steps were recorded.

        Raises:
            ValueError: one was.
        """
        if self.versions != versions_of(self.parameters):
            raise ValueError("a parameter was changed in place since the steps were recorded: record them again")

    def _recorded(self, first: int, end: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [(*self.kept[i], self.slopes[i]) for i in range(first, end)]

    @torch.no_grad()
    def _replayed(self, index: int, first: int, end: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        (y, point), steps, slope = self.kept[index], [], None
        for i in range(first, end):
            fresh = slope is None or self.tableau.first_stage == "fresh" or self._jumped(i)
            before = self.stepper.evaluate(self.stage_times[i][0], point) if fresh else slope
            taken = self.stepper.step((self.clock_starts[i], math.nan, self.sizes[i]), self.stage_times[i], y, before)
            steps.append((y, point, taken.k))
            y, slope = taken.end, taken.k[-1]
            point = taken.last_point if self.tableau.carries else y
        if index + 1 < len(self.kept) and not _close(y, self.kept[index + 1][0]):
            raise ValueError(f"recomputing steps {first} to {end} does not end where the recorded solve did")
        return steps

    def _jumped(self, i: int) -> bool:
        return self.stage_times[i][0] != self.stage_times[i - 1][-1]

    def _stack(self, first: int, steps: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Segment:
        effective, like = self.tableau.effective(), self.solution
        end, s = first + len(steps), effective.stages
        sizes = torch.tensor(self.sizes[first:end], dtype=like.dtype, device=like.device)
        times = torch.tensor([x[:s] for x in self.stage_times[first:end]], dtype=like.dtype, device=like.device)
        slopes = torch.stack([k[:s] for _, _, k in steps])
        y = torch.stack([y for y, _, _ in steps])
        points = y[:, None] + sizes[:, None, None] * (matrix(effective, like) @ slopes)
        if self.tableau.carries:
            points[:, 0] = torch.stack([point for _, point, _ in steps])
        return Segment(first, sizes, self.stepper.clock * times, points, slopes)


# multiply-adds for one stage's Jacobian blocks above which, for one direction, one graph of all steps is cheaper …
UNROLL_WORK = 1e6
# … and above which a gradient is cheaper by the graph of the solve itself, with many rows; with few, blocks keep up
GRAPH_WORK, GRAPH_ROWS = 1e5, 16


def rows_of(shape: torch.Size) -> int:
    """How many rows (samples) a state has: its first axis, if it has two axes or more."""
    return shape[0] if len(shape) > 1 else 1


def block_work(shape: torch.Size, parameters: Mapping[str, Tensor], blocks: int) -> float:
    """Multiply-adds for one stage's Jacobian in so many blocks, of a field that uses every parameter once a row.

    Blocks of width d take d passes over all rows.
    """
    size, rows = shape.numel(), rows_of(shape)
    used = sum(x.numel() for x in parameters.values()) + size / rows
    return size / blocks * rows * used


def keeps_graph(shape: torch.Size, parameters: Mapping[str, Tensor], coupled: bool) -> bool:
    """Whether the automatic route keeps the graph of the solve, for a state of that shape."""
    rows = rows_of(shape)
    work = block_work(shape, parameters, 1 if coupled else rows)
    return work > UNROLL_WORK or (work > GRAPH_WORK and rows >= GRAPH_ROWS)


def matrix(tableau: Tableau, like: Tensor) -> Tensor:
    """The stage weights as a full (stages, stages) matrix."""
    s = tableau.stages
    rows = [[*row, *[0.0] * (s - len(row))] for row in tableau.a]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def versions_of(parameters: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How often every tensor has been changed in place."""
    return tuple(value._version for value in parameters.values())


def _close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e4 * torch.finfo(a.dtype).eps * (1 + b.abs().max()))
