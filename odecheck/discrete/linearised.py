"""A trajectory's segments, linearised: which recursion runs on them, and where they meet the observations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .point_graphs import CompiledPoints
from .pulls import pull
from .recursion import Blocks, Recursion
from .stage_points import CoupledRows, Points
from .sweep import Sweep
from .trajectory import UNROLL_WORK, Trajectory, block_work, rows_of

Loss = Callable[[Tensor], Tensor]

# multiply-adds for the Jacobian blocks of one stage above which going stage by stage is cheaper than forming them
BLOCK_WORK = 2e7


def work_of(trajectory: Trajectory, blocks: int | None = None) -> float:
    """`block_work` of a trajectory, by default in as many blocks as its state has independent rows."""
    shape = trajectory.state_shape
    if blocks is None:
        blocks = 1 if trajectory.independent_rows is False else rows_of(shape)
    return block_work(shape, trajectory.parameters, blocks)


def unrolls(trajectory: Trajectory) -> bool:
    """Whether a product with one direction goes by one graph of all steps."""
    if trajectory.stride is not None or trajectory.route not in ("auto", "unrolled"):
        return False
    return trajectory.route == "unrolled" or work_of(trajectory) > UNROLL_WORK


def gradient_unrolls(trajectory: Trajectory) -> bool:
    """Whether a gradient goes by one graph of all steps: where it is kept, or where a product would go by it."""
    return trajectory.graph is not None or unrolls(trajectory)


class Linearised:
    """The linearised segments of a trajectory; with a single segment the linearisation is made once and kept.

    Attributes:
        trajectory: the recorded steps.
        time_derivatives: whether derivatives in the stage times are wanted too.
        bounds: first and last-but-one step of every segment.
        single: whether there is one segment only.
    """

    def __init__(self, trajectory: Trajectory, time_derivatives: bool = False) -> None:
        self.trajectory, self.time_derivatives = trajectory, time_derivatives
        self.bounds = trajectory.bounds()
        self.single = len(self.bounds) == 1
        self._kept: tuple[Points, Recursion] | None = None

    def __getitem__(self, index: int) -> tuple[Points, Recursion]:
        if self._kept is not None:
            return self._kept
        segment, steps = self.trajectory.segment(index), self.trajectory.compiled
        if steps is None or self.time_derivatives:
            points = Points(self.trajectory, segment, self.time_derivatives)
        else:
            points = CompiledPoints(self.trajectory, segment, steps)
        made = points, self._recursion(points)
        if self.single:
            self.hold(*made)
        return made

    def hold(self, points: Points, recursion: Recursion) -> None:
        """Answer with this linearised segment until it is released."""
        self._kept = points, recursion

    def release(self) -> None:
        """Make segments anew again."""
        self._kept = None

    def _recursion(self, points: Points) -> Recursion:
        trajectory = self.trajectory
        tableau = trajectory.tableau.effective()
        if trajectory.route != "sweep":
            for rows in self._layouts():
                jacobian = points.blocks(rows)
                if jacobian is not None:
                    return Blocks(tableau, points.segment, jacobian)
                if trajectory.independent_rows:
                    raise CoupledRows("declared independent, a row's slope depends on other rows of the state")
        return Sweep(tableau, points.segment, points)

    def _layouts(self) -> list[int]:
        """Row counts to try, most promising first: as many rows as the first axis, then all coupled."""
        trajectory, rows = self.trajectory, rows_of(self.trajectory.state_shape)
        candidates = [] if trajectory.independent_rows is False or rows == 1 else [rows]
        candidates += [] if trajectory.independent_rows is True and rows > 1 else [1]
        return [r for r in candidates if trajectory.route == "blocks" or work_of(trajectory, r) <= BLOCK_WORK]

    def start(self, y: Tensor) -> Tensor:
        """Tangents of y0 (D, state_size) as the first x (D, parts, state_size)."""
        return torch.stack([y, y] if self.trajectory.tableau.carries else [y], dim=1)

    def outputs(self, index: int) -> tuple[list[int], list[int]]:
        """Observations in a segment: (their indices, index of the step in the segment that ends there)."""
        first, end = self.bounds[index]
        seen = [(i, at - first - 1) for i, at in enumerate(self.trajectory.observed) if first < at <= end]
        return [i for i, _ in seen], [at for _, at in seen]

    def jumps(self, index: int, cotangents: Tensor) -> Tensor:
        """Cotangents of the outputs (D, times, state_size) → what every step's end receives (D, n, state_size)."""
        first, end = self.bounds[index]
        jumps = cotangents.new_zeros(len(cotangents), end - first, cotangents.shape[-1])
        outputs, steps = self.outputs(index)
        jumps[:, steps] = cotangents[:, outputs]
        return jumps

    def states(self, stages: Tensor) -> Tensor:
        """(D, n, s, state_size) → (D, points, *state)."""
        return stages.reshape(len(stages), -1, *self.trajectory.state_shape)

    def stages(self, states: Tensor) -> Tensor:
        """(D, points, *state) → (D, n, s, state_size)."""
        s = self.trajectory.tableau.effective().stages
        return states.reshape(len(states), -1, s, self.trajectory.state_shape.numel())

    def time_adjoint(self, points: Points, weights: Tensor, kappa: Tensor) -> Tensor:
        """What a segment contributes to the derivative in the observation times (times,)."""
        trajectory, segment = self.trajectory, points.segment
        n, clock = segment.steps, trajectory.stepper.clock
        by_stage = points.pull_times(weights).view(n, -1)
        by_size = clock * (segment.slopes * kappa).sum((1, 2)) / segment.sizes
        numbers, ends = torch.arange(segment.first, segment.first + n), torch.tensor(trajectory.observed[1:])
        interval = torch.bucketize(numbers, ends, right=True).to(trajectory.times.device)
        t = trajectory.times.to(by_size.dtype)
        length = (t[1:] - t[:-1])[interval]
        at = (segment.times - t[interval, None]) / length[:, None]
        later = (by_stage * at).sum(1) + by_size * clock * segment.sizes / length
        earlier = (by_stage * (1 - at)).sum(1) - by_size * clock * segment.sizes / length
        return torch.zeros_like(t).index_add_(0, interval, earlier).index_add_(0, interval + 1, later)


def checked(value: Tensor) -> Tensor:
    """The value of a loss as it is.

    Raises:
        ValueError: it is no scalar.
    """
    if value.shape != ():
        raise ValueError(f"a loss has to be a scalar, this one has shape {tuple(value.shape)}")
    return value


def loss_and_slope(trajectory: Trajectory, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """A loss at the recorded solution: (value, the solution as a leaf, the loss's gradient there with its graph)."""
    with torch.enable_grad():
        outputs = trajectory.solution.detach().requires_grad_()
        value = checked(loss(outputs))
        (slope,) = pull([value], [outputs], [torch.ones(1, dtype=value.dtype, device=value.device)], graph=True)
    return value.detach(), outputs, slope[0]
