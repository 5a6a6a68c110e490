"""The steps of torchdiffeq's explicit Runge-Kutta solvers, taken without its overhead.

The initial step, the error norm, the step control, the stage times and the reuse of the last stage are
torchdiffeq 0.2.5's, so the accepted steps are the same to round-off; a test compares them. So are the callbacks on
the field. Two things differ on purpose: every observation time ends a step, and a step that ends exactly on a
prescribed time counts as having reached it (torchdiffeq then forgets all later prescribed times).

Time runs upwards in here: for decreasing times the caller passes negated times and `clock = -1`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odecheck.instruments.told import Times

from .tableau import Tableau

Field = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[Tensor, Tensor, Tensor], None]


def on_device(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A few numbers of the host as a vector (numbers,), without waiting for the device.

    A copy from the host's memory waits until the device has done all that was asked of it before; numbers that are
    filled in travel with what is asked. Both round in the same way.
    """
    if device.type == "cpu":
        return torch.tensor(values, dtype=dtype)
    return torch.stack([torch.full((), value, dtype=dtype, device=device) for value in values])


@dataclass(frozen=True)
class Step:
    """One accepted step, in the solver's clock.

    Attributes:
        start: when it begins.
        finish: when it ends.
        size: its length.
        times: of its stages.
        y: (state_size,) the state at its start.
        k: (stages, state_size) the slopes.
        end: (state_size,) the state at its end.
        last_point: (state_size,) the last stage point.
        last_slope: (state_size,) the last slope.
    """

    start: float
    finish: float
    size: float
    times: tuple[float, ...]
    y: Tensor
    k: Tensor
    end: Tensor
    last_point: Tensor
    last_slope: Tensor


class Stepper:
    """Takes one step of a tableau for a field on states of a given shape, flattened to (state_size,).

    With `graph` the states stay differentiable (autograd has to be enabled as well).
    """

    def __init__(self, field: Field, tableau: Tableau, like: Tensor, clock: int, graph: bool = False) -> None:
        self.field, self.tableau, self.clock, self.graph = field, tableau, clock, graph
        names = ("callback_step", "callback_accept_step", "callback_reject_step")
        self.begins, self.accepts, self.rejects = (getattr(field, name, None) for name in names)
        self.shape, self.dtype, self.device = like.shape, like.dtype, like.device
        every = [*tableau.a, tableau.b, tableau.error or ()]
        # one copy to the device for all of them
        weights = torch.tensor([x for row in every for x in row], dtype=self.dtype, device=self.device)
        *self.rows, self.b, error = weights.split([len(row) for row in every])
        self.error = None if tableau.error is None else error

    def evaluate(self, time: float, y: Tensor) -> Tensor:
        """The slope at a time of the solver's clock and a state (state_size,), shaped like it."""
        return self._slope(on_device((self.clock * time,), self.dtype, self.device)[0], y)

    def _slope(self, time: Tensor, y: Tensor) -> Tensor:
        slope = self.field(time, y.view(self.shape))
        if slope.shape != self.shape:
            raise ValueError(f"the field maps a state of shape {tuple(self.shape)} to {tuple(slope.shape)}")
        return slope.reshape(-1) if self.clock > 0 else -slope.reshape(-1)

    def tell(self, callback: Callback | None, start: float, y: Tensor, size: float) -> None:
        """Call a callback of the field, if it has it, as torchdiffeq does: (start, state, size)."""
        if isinstance(callback, Times):
            callback.take(self.clock * start, None, size)
        elif callback is not None:
            when = on_device((self.clock * start, size), self.dtype, self.device)
            callback(when[0], y.detach().view(self.shape), when[1])

    def beside(self, time: float, side: int) -> float:
        """The neighbouring representable time before (side = -1) or after (side = +1), in the state's dtype."""
        if self.dtype == torch.float64:
            return math.nextafter(time, side * math.inf)
        here = torch.tensor(time, dtype=self.dtype)
        return float(torch.nextafter(here, here + side))

    def step(self, span: tuple[float, float, float], times: tuple[float, ...], y: Tensor, first: Tensor | None) -> Step:
        """One step from y (state_size,).

        Args:
            span: (start, finish, size), in the solver's clock.
            times: of the stages.
            y: the state at the start.
            first: the slope of the first stage, if it is known.
        """
        clocked = times if self.clock > 0 else tuple(-time for time in times)
        at = on_device(clocked, self.dtype, self.device).unbind()
        if self.graph:
            return self._step_with_graph(span, times, y, self._slope(at[0], y) if first is None else first, at)
        k = y.new_empty(self.tableau.stages, y.numel())
        k[0] = self._slope(at[0], y) if first is None else first
        point = y
        for i in range(1, self.tableau.stages):
            point = torch.addmv(y, k[:i].t(), self.rows[i], alpha=span[2])
            k[i] = self._slope(at[i], point)
        ends_here = self.tableau.first_stage == "last_is_end"
        end = point if ends_here else torch.addmv(y, k.t(), self.b, alpha=span[2])
        return Step(*span, times, y, k, end, point, k[-1])

    def _step_with_graph(
        self, span: tuple[float, float, float], times: tuple[float, ...], y: Tensor, first: Tensor, at: Sequence[Tensor]
    ) -> Step:
        k, point = [first], y
        for i in range(1, self.tableau.stages):
            point = combine(y, span[2], self.tableau.a[i], k)
            k.append(self._slope(at[i], point))
        end = point if self.tableau.first_stage == "last_is_end" else combine(y, span[2], self.tableau.b, k)
        return Step(*span, times, y, torch.stack([slope.detach() for slope in k]), end, point, k[-1])


def combine(y: Tensor, size: float, weights: Sequence[float], k: Sequence[Tensor]) -> Tensor:
    """The sum y + size Σ weight · slope, out of place."""
    for weight, slope in zip(weights, k, strict=True):
        if weight:
            y = torch.add(y, slope, alpha=size * weight)
    return y


def fixed_steps(stepper: Stepper, y: Tensor, grid: list[float], perturb: bool) -> Iterator[Step]:
    """Steps from grid point to grid point; `perturb` moves the end stages inwards by one representable time."""
    for start, end in itertools.pairwise(grid):
        size = end - start
        times = [end if c == 1.0 else start + c * size for c in stepper.tableau.c]
        if perturb:
            times[0] = stepper.beside(start, 1)
            times = [stepper.beside(end, -1) if c == 1.0 else x for c, x in zip(stepper.tableau.c, times, strict=True)]
        stepper.tell(stepper.begins, start, y, size)
        taken = stepper.step((start, end, size), tuple(times), y, None)
        yield taken
        y = taken.end


@dataclass(frozen=True)
class Control:
    """What decides on the length of a step; names and defaults are those of torchdiffeq's options."""

    rtol: float | Tensor
    atol: float | Tensor
    norm: Callable[[Tensor], Tensor | float] | None = None
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf
    safety: float = 0.9
    ifactor: float = 10.0
    dfactor: float = 0.2
    max_num_steps: float = math.inf

    @staticmethod
    def of(rtol: float | Tensor, atol: float | Tensor, options: Mapping[str, Any]) -> Control:
        """That of a call with these tolerances and options of torchdiffeq."""
        numbers = set(Control.__dataclass_fields__) - {"rtol", "atol", "norm"}
        known: dict[str, Any] = {name: float(x) for name, x in options.items() if name in numbers and x is not None}
        return Control(rtol, atol, options.get("norm"), **known)

    def size(self, values: Tensor, shape: torch.Size) -> float:
        """The norm of a state-like tensor (state_size,), root mean square by default."""
        if self.norm is not None:
            return abs(float(self.norm(values.view(shape))))
        return float(torch.linalg.vector_norm(values)) / math.sqrt(values.numel())

    def tolerance(self, y: Tensor, shape: torch.Size) -> Tensor:
        """The error allowed in every entry of a state (state_size,), shaped like it."""
        if isinstance(self.rtol, Tensor) or isinstance(self.atol, Tensor):
            return (self.atol + self.rtol * y.abs().view(shape)).reshape(-1)
        return y.abs().mul_(self.rtol).add_(self.atol)

    def next_size(self, size: float, ratio: float, order: int) -> float:
        """The next step's size after one of `size` with error over tolerance `ratio`."""
        if ratio == 0:
            return self.clamp(size * self.ifactor)
        shrink = 1.0 if ratio < 1 else self.dfactor
        return self.clamp(size * min(self.ifactor, max(self.safety / ratio ** (1 / order), shrink)))

    def clamp(self, size: float) -> float:
        """The size within the limits."""
        return min(max(size, self.min_step), self.max_step)


def initial_size(stepper: Stepper, control: Control, start: float, y: Tensor, first: Tensor) -> float:
    """Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4, as torchdiffeq applies it."""
    scale = control.tolerance(y, stepper.shape)
    d0, d1 = control.size(y / scale, stepper.shape), control.size(first / scale, stepper.shape)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    ahead = stepper.evaluate(start + h0, y + h0 * first)
    d2 = control.size((ahead - first) / scale, stepper.shape) / h0
    if d1 <= 1e-15 and d2 <= 1e-15:
        return min(100 * h0, max(1e-6, h0 * 1e-3))
    return min(100 * h0, (0.01 / max(d1, d2)) ** (1 / stepper.tableau.order))


def adaptive_steps(
    stepper: Stepper, y: Tensor, start: float, stops: list[tuple[float, bool]], control: Control
) -> Iterator[Step]:
    """The accepted steps from `start` to the last stop, ending at every stop on the way.

    A stop is (time, whether the field jumps there).

    Raises:
        FloatingPointError: the step became too small to move the time, as it does after a NaN.
        RuntimeError: more than `max_num_steps` steps.
    """
    c, order = stepper.tableau.c, stepper.tableau.order
    first = stepper.evaluate(start, y)
    first_time = start
    size = control.first_step
    if size is None:
        with torch.no_grad():
            size = initial_size(stepper, control, start, y.detach(), first.detach())
    tries = 0
    for stop, jumps in stops:
        while start < stop:
            if tries >= control.max_num_steps:
                raise RuntimeError(f"max_num_steps = {control.max_num_steps} steps were not enough, t = {start}")
            size = control.clamp(size if math.isfinite(size) else control.min_step)
            end = start + size
            if not end > start:
                raise FloatingPointError(f"the step size {size} underflows at t = {stepper.clock * start}")
            if stop < end:
                end, size = stop, stop - start
            before = stepper.beside(end, -1)
            times = (first_time, *(before if x == 1.0 else start + x * size for x in c[1:]))
            stepper.tell(stepper.begins, start, y, size)
            taken = stepper.step((start, end, size), times, y, first)
            ratio = _error_ratio(stepper, control, taken)
            tries += 1
            accepted = ratio <= 1 or size <= control.min_step
            stepper.tell(stepper.accepts if accepted else stepper.rejects, start, y, size)
            if accepted:
                yield taken
                start, y, first, first_time = end, taken.end, taken.last_slope, times[-1]
            size = control.next_size(size, ratio, order) if math.isfinite(ratio) or ratio > 0 else math.nan
        if jumps:
            first_time = stepper.beside(start, 1)
            first = stepper.evaluate(first_time, y)


def _error_ratio(stepper: Stepper, control: Control, step: Step) -> float:
    assert stepper.error is not None
    estimate = torch.mv(step.k.t(), stepper.error).mul_(step.size)
    larger = torch.maximum(step.y.detach().abs(), step.end.detach().abs())
    return control.size(estimate / control.tolerance(larger, stepper.shape), stepper.shape)
