"""One adaptive step whose control is on the device: captured once, replayed for every step, read once a step.

A step of dopri5 with its estimate of the error, its decision and its next size is one function of tensors that stay
where they are; the host asks after each whether the output is reached and whether the step was kept. Its pull-back is a
second such function. Steps end on outputs, and are those of `odecheck.discrete` to round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from odecheck.discrete.replayed import captured
from odecheck.discrete.stepping import Control, Stepper, initial_size, on_device
from odecheck.discrete.tableau import METHODS
from odecheck.engines.base import Derivatives, LossFn
from odecheck.errors import Unsupported
from odecheck.solvers import Adaptive, Solver

TABLEAU = METHODS["dopri5"]
SHORT = TABLEAU.effective()  # without the slope at the end
MOST = 10_000  # steps of a solve: a NaN would never arrive
Weights = Sequence[float]


def combined(y: Tensor, h: Tensor, weights: Weights, k: Sequence[Tensor]) -> Tensor:
    """The sum y + h Σ weight · slope, with a step size that is a tensor ()."""
    total = torch.stack([slope * weight for weight, slope in zip(weights, k, strict=False) if weight]).sum(0)
    return y + h * total


class StepOnDevice:
    """A step and its pull-back, on tensors of their own.

    Attributes:
        y: (*state) the state.
        status: (4,) in float64: whether the output is reached, whether the step was kept, its start and its size.
    """

    def __init__(self, module: nn.Module, y: Tensor, control: Control, replays: bool) -> None:
        self.module, self.control = module, control
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.y, self.k = y.detach().clone(), torch.zeros_like(y)
        zero = torch.zeros((), dtype=torch.float64, device=y.device)
        self.t, self.h, self.stop, self.start, self.size = (zero.clone() for _ in range(5))
        self.status = torch.zeros(4, dtype=torch.float64, device=y.device)
        self.adjoint, self.theta = torch.zeros_like(y), [torch.zeros_like(p) for p in self.parameters]
        self.replays = replays
        self._made: dict[str, Callable[[], Any]] = {}

    def run(self, what: Literal["forwards", "backwards"]) -> None:
        """One step forwards, or the pull-back of one; by the graph of it, which the first call captures."""
        made = self._made.get(what)
        if made is None:
            made = function = {"forwards": self._forwards, "backwards": self._backwards}[what]
            if self.replays:
                before = [x.clone() for x in self._changed()]
                made = captured(function, self.y.device)[0].replay
                for x, old in zip(self._changed(), before, strict=True):  # warming up took steps
                    x.copy_(old)
            self._made[what] = made
        made()

    def _changed(self) -> list[Tensor]:
        return [self.y, self.k, self.t, self.h, self.status, self.adjoint, *self.theta]

    def read(self) -> tuple[bool, bool, float, float]:
        """Whether the output is reached, whether the step was kept, its start and its size: one wait for the device."""
        found = cast(list[float], cast(Any, self.status).tolist())
        return bool(found[0]), bool(found[1]), found[2], found[3]

    def slope(self, t: Tensor, y: Tensor) -> Tensor:
        """The field at a time () of the control."""
        return self.module(t.to(y.dtype), y)

    def stages(self, t: Tensor, h: Tensor, y: Tensor, first: Tensor) -> tuple[Tensor, list[Tensor]]:
        """From the slope at the start to the state at the end, and the slopes but for that at the end."""
        k = [first]
        for c, row in zip(SHORT.c[1:], SHORT.a[1:], strict=True):
            k.append(self.slope(t + c * h, combined(y, h, row, k)))
        return combined(y, h, SHORT.b, k), k

    @torch.no_grad()
    def _forwards(self) -> None:
        how, left = self.control, self.stop - self.t
        lands = left < self.h
        h = torch.where(lands, left, self.h)
        end, k = self.stages(self.t, h, self.y, self.k)
        k.append(self.slope(self.t + h, end))  # the next step's first
        assert TABLEAU.error is not None
        estimate = combined(torch.zeros_like(end), h, TABLEAU.error, k)
        off = estimate / (how.atol + how.rtol * torch.maximum(self.y.abs(), end.abs()))
        ratio = off.square().mean().sqrt().double()
        kept = ratio <= 1
        least = how.dfactor + (1 - how.dfactor) * kept.double()
        factor = torch.maximum(how.safety * ratio ** (-1 / TABLEAU.order), least).clamp(max=how.ifactor)
        reached = kept & (lands | (self.t + h >= self.stop))
        self.status.copy_(torch.stack([reached.double(), kept.double(), self.t, h]))
        self.t.copy_(torch.where(kept, torch.where(lands, self.stop, self.t + h), self.t))
        self.y.copy_(torch.where(kept, end, self.y))
        self.k.copy_(torch.where(kept, k[-1], self.k))
        self.h.copy_(h * factor)

    def _backwards(self) -> None:
        with torch.enable_grad():
            y = self.y.detach().requires_grad_()
            end, _ = self.stages(self.start, self.size, y, self.slope(self.start, y))
            found = torch.autograd.grad(end, [y, *self.parameters], self.adjoint, materialize_grads=True)
        self.adjoint.copy_(found[0])
        for total, part in zip(self.theta, found[1:], strict=True):
            total.add_(part)


@dataclass
class StepEngine:
    """Solves and gradients by `StepOnDevice`, made at the first call for a field and a start.

    Attributes:
        replays: by CUDA graphs; else by the same operations, one by one.
        nfe: evaluations of the last call, forwards and backwards.
    """

    replays: bool = False
    name: str = "one step on the device"
    target: Literal["flow", "steps"] = "steps"
    nfe: tuple[int, int] = (0, 0)
    _made: list[tuple[Any, StepOnDevice]] = field(default_factory=list["tuple[Any, StepOnDevice]"])

    def _step(self, module: nn.Module, y0: Tensor, control: Control) -> StepOnDevice:
        if not self._made or self._made[0][0] is not module:
            self._made[:] = [(module, StepOnDevice(module, y0, control, self.replays))]
        return self._made[0][1]

    def _solve(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, keep: Callable[[Tensor, float, float], None]
    ) -> Tensor:
        """The solution (times, *state); `keep` is given (state, start, size) of every accepted step."""
        if not isinstance(solver, Adaptive) or solver.method != "dopri5":
            raise Unsupported(f"{self.name} takes steps of dopri5, not of {solver.name}")
        atol = solver.rtol / 100 if solver.atol is None else solver.atol
        control = Control.of(solver.rtol, atol, {})
        times = cast(list[float], cast(Any, ts).tolist())
        step = self._step(module, y0, control)
        with torch.no_grad():
            first = step.slope(on_device(times[:1], torch.float64, y0.device)[0], y0)
            stepper = Stepper(module, TABLEAU, y0, 1)
            size = initial_size(stepper, control, times[0], y0.reshape(-1), first.reshape(-1))
            for x, value in ((step.y, y0), (step.k, first)):
                x.copy_(value)
            step.t.fill_(times[0])
            step.h.fill_(size)
        states, tries = [y0.detach().clone()], 0
        for stop in times[1:]:
            step.stop.fill_(stop)
            reached = False
            while not reached:
                before = step.y.clone()
                step.run("forwards")
                reached, kept, start, size = step.read()
                tries += 1
                if kept:
                    keep(before, start, size)
                if tries > MOST or not size > 0:
                    raise FloatingPointError(f"no end after {tries} steps, at t = {start}")
            states.append(step.y.clone())
        self.nfe = 2 + (TABLEAU.stages - 1) * tries, 0
        return torch.stack(states)

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        return self._solve(module, solver, y0, ts, lambda y, start, size: None)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`, without a derivative in the times."""
        steps: list[tuple[Tensor, float, float]] = []

        def keep(y: Tensor, start: float, size: float) -> None:
            steps.append((y, start, size))

        states = self._solve(module, solver, y0, ts, keep).requires_grad_()
        (slopes,) = torch.autograd.grad(loss(states), states)
        step, index = self._made[0][1], len(ts) - 1
        ends = cast(list[float], cast(Any, ts).tolist())
        step.adjoint.zero_()
        for total in step.theta:
            total.zero_()
        for y, start, size in reversed(steps):
            while index and start < ends[index]:
                step.adjoint.add_(slopes[index])
                index -= 1
            step.y.copy_(y)
            step.start.fill_(start)
            step.size.fill_(size)
            step.run("backwards")
        self.nfe = self.nfe[0], SHORT.stages * len(steps)
        theta = [part.reshape(-1) for part in step.theta]
        return Derivatives(step.adjoint + slopes[0], torch.cat(theta), torch.zeros_like(ts))
