"""A trajectory: the accepted steps of one solve, kept so that the steps themselves can be differentiated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .schedule import ADAPTIVE_OPTIONS, FIXED_OPTIONS, clock_of, steps_of
from .stepping import Control, Field, Step, Stepper
from .tableau import METHODS, Tableau

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
        return len(self.sizes)


@dataclass(frozen=True)
class Trajectory:
    """The accepted steps of one solve.

    Attributes:
        solution: (times, *state), the state at the observation times; its first entry is y0.
        times: (times,) the observation times.
        step_starts: start of every accepted step, in the caller's time.
        step_sizes: size of every accepted step, negative for decreasing times.
        observed: for every observation time the number of steps taken before it.
        parameters: name → tensor, what derivatives "in theta" are taken by.
        independent_rows: True, False or None (found out and verified at every stage point), see `record`.
        route: how the linear recursions run, see `record`.
        stride: steps per recomputed segment; None if every stage is kept.
    """

    stepper: Stepper
    solution: Tensor
    times: Tensor
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

    @property
    def tableau(self) -> Tableau:
        return self.stepper.tableau

    @property
    def state_shape(self) -> torch.Size:
        return self.stepper.shape

    @property
    def step_starts(self) -> list[float]:
        return [self.stepper.clock * start for start in self.clock_starts]

    @property
    def step_sizes(self) -> list[float]:
        return [self.stepper.clock * size for size in self.sizes]

    def bounds(self) -> list[tuple[int, int]]:
        """First and last-but-one step of every segment; one segment if nothing has to be recomputed."""
        n, stride = len(self.sizes), self.stride
        return [(0, n)] if stride is None else [(i, min(i + stride, n)) for i in range(0, n, stride)]

    def segment(self, index: int) -> Segment:
        """The stages of a segment, recomputed from its checkpoint if they were not kept.

        Raises:
            ValueError: the parameters were changed in place since the steps were recorded, or recomputing a
                segment does not end where the recorded solve did (a field with noise or with a state of its own).
        """
        self.unchanged()
        first, end = self.bounds()[index]
        steps = self._recorded(first, end) if self.stride is None else self._replayed(index, first, end)
        return self._stack(first, steps)

    def unchanged(self) -> None:
        """Raises ValueError if a parameter was changed in place since the steps were recorded."""
        if self.versions != _versions(self.parameters):
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


def matrix(tableau: Tableau, like: Tensor) -> Tensor:
    """The stage weights as a full (stages, stages) matrix."""
    s = tableau.stages
    rows = [[*row, *[0.0] * (s - len(row))] for row in tableau.a]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _versions(parameters: Mapping[str, Tensor]) -> tuple[int, ...]:
    return tuple(value._version for value in parameters.values())


def _close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e4 * torch.finfo(a.dtype).eps * (1 + b.abs().max()))


def record(
    field: Field,
    y0: Tensor,
    t: Tensor,
    *,
    method: str = "dopri5",
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    options: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Tensor] | None = None,
    independent_rows: bool | None = None,
    route: Route = "auto",
    checkpoint: bool = False,
) -> Trajectory:
    """Solve y' = field(t, y) with torchdiffeq's accepted steps and keep them for exact differentiation.

    Every observation time ends a step (what torchdiffeq does with `options={"step_t": t}`), so no derivative
    passes through an interpolation. The method's name, the tolerances and the options are torchdiffeq's.

    Args:
        field: a module or function (t scalar, y of y0's shape) → slope of y0's shape.
        y0: the state at t[0], floating point, any shape. Its first axis counts rows (samples).
        t: (times,) strictly increasing or decreasing.
        method: a name of `tableau.METHODS`.
        rtol: relative tolerance of the step control, a number or a tensor like the state.
        atol: absolute tolerance, in the state's units.
        options: torchdiffeq's options of that method.
        parameters: name → leaf tensor for derivatives in theta; by default a module's parameters that require grad.
        independent_rows: whether a row's slope depends on that row of the state alone. None: found out, with a
            random probe at every stage point used, and believed only where the probe confirms it to round-off.
            True: the same probe, and an error where it disagrees. False: rows are coupled.
        route: "blocks" runs the recursions on the blocks of the field's Jacobian, all steps at once;
            "sweep" goes stage by stage without forming a Jacobian; "unrolled" keeps one graph of all steps
            for gradients and single Hessian-vector products (the rest as "auto"), with memory for all of it;
            "auto" chooses by the cost of the blocks, and makes that graph afterwards if it is cheaper.
        checkpoint: keep states only, at most 3 sqrt(steps) of them, and recompute the stages of one segment at a
            time; five numbers a step and the solution are kept in any case.

    Returns:
        The trajectory, with `solution` of shape (times, *state).

    Raises:
        ValueError: unknown method; an option the method does not have; an observation time that is no grid point
            of a fixed-step method; times that are not strictly monotonous.
        TypeError: a state that is no floating-point tensor (a tuple, a complex tensor).
        FloatingPointError, RuntimeError: the step size underflows, or too many steps.
    """
    tableau = _tableau(method)
    if not (isinstance(y0, Tensor) and y0.is_floating_point()):
        raise TypeError("the state has to be one floating-point tensor: concatenate a tuple's parts first")
    options = dict(options or {})
    unknown = set(options) - (ADAPTIVE_OPTIONS if tableau.adaptive else FIXED_OPTIONS)
    if unknown:
        raise ValueError(f"method {method!r} has no options {sorted(unknown)}")
    y0, t = y0.detach(), t.detach()
    clock = clock_of(t)
    ups = [clock * time for time in t.tolist()]
    graph = route == "unrolled" and not checkpoint
    stepper = Stepper(field, tableau, y0, clock, graph)
    leaf = y0.clone().requires_grad_(graph)
    recorder = _Recorder(stepper, ups, leaf, checkpoint)
    with torch.set_grad_enabled(graph):
        for step in steps_of(stepper, recorder.point, t, ups, Control.of(rtol, atol, options), options):
            recorder.keep(step)
    if parameters is None:
        named = dict(field.named_parameters()) if isinstance(field, nn.Module) else {}
        parameters = {name: value for name, value in named.items() if value.requires_grad}
    return recorder.trajectory(t, dict(parameters), independent_rows, route)


def _tableau(method: str) -> Tableau:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: one of {', '.join(METHODS)}")
    return METHODS[method]


class _Recorder:
    """Collects steps; with checkpoints it keeps the state of every stride-th step and doubles the stride."""

    def __init__(self, stepper: Stepper, ups: list[float], y0: Tensor, checkpoint: bool) -> None:
        self.stepper, self.ups, self.stride = stepper, ups, 1 if checkpoint else None
        self.starts: list[float] = []
        self.sizes: list[float] = []
        self.times: list[tuple[float, ...]] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.slopes: list[Tensor] = []
        self.leaf, self.point = y0, y0.reshape(-1)
        self.solution, self.observed = [self.point], [0]

    def keep(self, step: Step) -> None:
        count = len(self.sizes)
        if self.stride is None or count % self.stride == 0:
            self.kept.append((step.y.detach(), (self.point if self.stepper.tableau.carries else step.y).detach()))
        if self.stride is None:
            self.slopes.append(step.k)
        elif len(self.kept) > 4 * self.stride:
            self.kept, self.stride = self.kept[::2], 2 * self.stride
        self.starts.append(step.start)
        self.sizes.append(step.size)
        self.times.append(step.times)
        self.point = step.last_point
        if step.finish == self.ups[len(self.observed)]:
            self.solution.append(step.end)
            self.observed.append(count + 1)

    def trajectory(
        self, t: Tensor, parameters: dict[str, Tensor], independent_rows: bool | None, route: Route
    ) -> Trajectory:
        solution = torch.stack(self.solution).view(-1, *self.stepper.shape)
        graph = (self.leaf, solution) if solution.requires_grad else None
        return Trajectory(
            self.stepper,
            solution.detach(),
            t,
            tuple(self.observed),
            parameters,
            independent_rows,
            route,
            self.stride,
            self.starts,
            self.sizes,
            self.times,
            self.kept,
            self.slopes,
            _versions(parameters),
            graph,
        )
