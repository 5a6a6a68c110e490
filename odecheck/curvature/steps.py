"""What a solver says about the steps of adjoint solves, turned into evaluations with weights.

torchdiffeq, and `odecheck.odeint` which steps with it, tells a field of every step that begins, is accepted or is
rejected; the field's evaluations are seen by hooks. Nothing but the stages of two steps is held at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

import torch
from torch import Tensor, nn

from .quadrature import Rule, UnknownMethod, rule_of

ROUND = 1e-9  # relative to a step: two float64 times that are the same
COARSE = 1e-3  # round-off of times, relative to a step, from which on its stages are not told apart by them


@dataclass(eq=False)
class Evaluation:
    """One evaluation of a field in an adjoint solve.

    Attributes:
        time: as the field was given it.
        samples: rows of the state.
        image: whether it may as well be (channels, height, width) of one sample.
        calls: layer, its input, and the cotangent of its output, in the order in which gradients arrive.
        held: layer, and what is kept of a call until its step is accepted.
        idle: a stage without weight, of which nothing need be kept.
    """

    time: Tensor
    samples: int = 1
    image: bool = False
    calls: list[tuple[nn.Module, Tensor, Tensor]] = attribute(default_factory=list)
    held: list[tuple[nn.Module, Any]] = attribute(default_factory=list)
    idle: bool = False


@dataclass(eq=False)
class _Step:
    """eps: of the solver's times. resolved: whether stages can be told apart by the times that the field is given."""

    t0: float
    dt: float
    eps: float
    solve: object
    first: Evaluation | None = None  # of an adaptive method: evaluated before the step began
    stages: list[Evaluation] = attribute(default_factory=list)
    adaptive: bool = False

    @property
    def round_off(self) -> float:
        """Of the times that the field is given, in units of the step: the coarser of two dtypes rounds them."""
        eps = max([self.eps, *(torch.finfo(e.time.dtype).eps for e in self.stages[:1])])
        return eps * max(abs(self.t0), self.dt) / self.dt

    @property
    def resolved(self) -> bool:
        return self.round_off < COARSE


class Starts:
    """Where the forward solves of a field began: where its adjoint solves end."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._reached: tuple[float, ...] = ()
        self._open = self._looked = False

    def evaluated(self) -> None:
        """The field was evaluated: outside of a step a solve begins."""
        self._looked |= not self._open  # outside of a step: a solve begins

    def step(self, t0: float, dt: float) -> None:
        """A step begins."""
        if self._looked or not any(abs(t0 - t) <= ROUND * dt for t in self._reached):
            self.times.append(t0)
        self._reached = (t0, t0 + dt, t0 - dt)  # gone on from, or tried again after a rejection
        self._open, self._looked = True, False

    def accept(self, t0: float, dt: float) -> None:
        """The step is accepted."""
        self._reached, self._open = (t0 + dt, t0 - dt), False

    def reject(self) -> None:
        """The step is rejected, and will be tried again from where it began."""
        self._open = False


class Steps:
    """Follows the adjoint solves of a field, calling `emit(evaluation, weight, direction)` for each stage that counts.

    The direction is 1.0 where the adjoint solve's time increases, −1.0 where it decreases, as it does in nearly all.

    Attributes:
        emit: what is called.
        starts: where the forward solves of the field began.
        failure: why no integral can be had, or empty.
        accepted: number of steps so far.
    """

    def __init__(self, emit: Callable[[Evaluation, float, float], None], starts: Starts) -> None:
        self.emit, self.starts = emit, starts
        self.failure, self.accepted = "", 0
        self._ends: list[float] | None = None  # starts of forward solves that no adjoint solve has come back to yet
        self._loose: list[Evaluation] = []  # evaluated, and no step has begun since
        self._first: Evaluation | None = None  # the first stage of the next step
        self._step: _Step | None = None  # begun
        self._done: _Step | None = None  # accepted; where it ends is known when the next begins
        self._rule: Rule | None = None
        self._towards = 0.0

    def evaluated(self, evaluation: Evaluation) -> None:
        """The field was evaluated."""
        if self._step is None:
            self._loose.append(evaluation)
            return
        if self._rule is not None:
            evaluation.idle = self._rule.idle(len(self._step.stages) + self._rule.tableau.adaptive)
        self._step.stages.append(evaluation)

    def begin(self, t0: Tensor, dt: Tensor, solve: object) -> None:
        """A step begins.

        Args:
            t0: when, in the solver's time.
            dt: its length.
            solve: the same object for all steps of one backward solve, over all of its intervals.
        """
        start, length, eps = t0.item(), dt.item(), torch.finfo(t0.dtype).eps
        if self._step is not None:  # neither accepted nor rejected: a method of fixed steps
            self._done, self._step = self._step, None
        fresh = bool(self._loose)
        if fresh:
            self._first = self._stage_at(start, length)
            self._loose.clear()
        self._flush(start, solve)
        self._step = _Step(start, length, eps, solve, self._first)

    def accept(self, t0: Tensor, dt: Tensor) -> None:
        """The step is accepted."""
        step = self._step
        if step is not None:
            step.dt, step.adaptive = dt.item(), True
            self._first = step.stages[-1] if step.stages else None  # first same as last
            self._done, self._step = step, None

    def reject(self) -> None:
        """The step is rejected."""
        if self._step is not None:
            self._first, self._step = self._step.first, None

    def finish(self) -> None:
        """No step is to come in this backward pass."""
        if self._step is not None:
            self._done, self._step = self._step, None
        self._flush(None, None)
        self._loose.clear()
        self._first = self._rule = self._ends = None
        self._towards = 0.0

    def _stage_at(self, t0: float, dt: float) -> Evaluation:
        """The evaluation that a step is handed: the last one made at its start.

        After it, a solver in search of its first step looks a little ahead; before it, one that was at a discontinuity
        has looked at the other side.
        """
        times = torch.stack([e.time for e in self._loose]).flatten().tolist()
        near = 4 * torch.finfo(self._loose[0].time.dtype).eps * max(abs(t0), dt)
        at = [e for e, t in zip(self._loose, times, strict=True) if abs(t - t0) <= near]
        return at[-1] if at else self._loose[max(len(self._loose) - 2, 0)]

    def _flush(self, following: float | None, solve: object) -> None:
        step, self._done = self._done, None
        if step is None or self.failure:
            return
        goes_on = following is not None and solve is step.solve
        if step.dt:  # a fixed grid may end with the same time twice
            self._integrate(step, following, goes_on)
        if not goes_on:
            self._rule = None  # another solve may have another method

    def _integrate(self, step: _Step, following: float | None, goes_on: bool) -> None:
        times = torch.stack([e.time for e in step.stages]).flatten().tolist() if step.stages else []
        slack = 1e-6 + 8 * step.round_off
        reasons: list[tuple[float, str]] = []
        # the adjoint of a solve with decreasing times is told the negative of the time that its field is given
        for mirror in (1.0, -1.0):
            moves = [(mirror * t - step.t0) / step.dt for t in times]
            try:
                rule = rule_of([abs(x) for x in moves], adaptive=step.adaptive, slack=slack, known=self._rule)
                break
            except UnknownMethod as error:
                reasons.append((max(map(abs, moves), default=0.0), str(error)))
        else:
            self.failure = min(reasons)[1]  # in the other direction the times are far away
            return
        self.accepted += 1
        if step.resolved:
            self._rule = rule
        sign = self._direction(step, moves, mirror, following)
        if step.t0 == 0.0 and moves[-1] and following is not None and sign * following < 0:
            sign, mirror = -sign, -mirror  # the two looked alike
        theta = self._share(step, sign, mirror, following if goes_on else None) if step.adaptive else 1.0
        stages = ([step.first] if step.adaptive else []) + step.stages[: len(rule.seen)]
        for stage, weight in zip(stages, rule.weights(theta), strict=True):
            if stage is None:
                self.failure = "an adjoint solve was under way when gathering began: begin before the forward pass"
                return
            if weight:
                self.emit(stage, weight * step.dt, sign)

    def _direction(self, step: _Step, moves: list[float], mirror: float, following: float | None) -> float:
        if moves[-1] and (step.resolved or not self._towards):
            self._towards = 1.0 if moves[-1] > 0 else -1.0
        elif following is not None and abs(abs(following - step.t0) - step.dt) <= ROUND * step.dt:
            self._towards = 1.0 if following > step.t0 else -1.0  # Euler's step has but one stage
        elif self._towards == 0.0 and self.starts.times:
            self._towards = 1.0 if mirror * self.starts.times[-1] > step.t0 else -1.0
        return self._towards

    def _share(self, step: _Step, sign: float, mirror: float, following: float | None) -> float:
        """Which fraction of an accepted step lies within the interval of its solve.

        following: where the next step of the same solve begins; None after its last, which ends where the forward
        solve began. What the state has gathered says nothing of this: with a loss of the first outputs alone it is
        zero for many intervals.
        """
        if following is not None:
            x = sign * (following - step.t0) / step.dt
            return x if ROUND < x < 1 - ROUND else 1.0  # the next interval may begin inside this step
        if self._ends is None:
            self._ends = list(self.starts.times)
        for i in reversed(range(len(self._ends))):
            x = sign * (mirror * self._ends[i] - step.t0) / step.dt
            if ROUND < x <= 1 + ROUND:
                del self._ends[i]
                return min(x, 1.0) if x < 1 - ROUND else 1.0
        return 1.0
