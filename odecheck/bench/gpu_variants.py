"""What the GPU suite runs beside a computation as it is: compiled, or replayed as CUDA graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from odecheck import discrete
from odecheck.cost import Posed
from odecheck.discrete.one_step import Compile
from odecheck.discrete.replayed import captured
from odecheck.engines.base import Derivatives, LossFn, OdeIntEngine
from odecheck.engines.own import DiscreteEngine
from odecheck.solvers import Solver

Variant = Literal["eager", "compiled", "CUDA graph"]
SPAN = 0.5  # between two outputs of every computation of the suite


def _rk4(module: Any, y0: Tensor, ts: Tensor, *, method: str, options: Any) -> Tensor:
    """Steps of torchdiffeq's rk4 (the 3/8 rule), outputs SPAN apart, that never look at a value on the device.

    torchdiffeq itself asks whether the times increase, which waits for the device: nothing that does can be captured.
    """
    steps = round(SPAN / options["step_size"])
    y, states = y0, [y0]
    for begin, end in zip(ts[:-1].unbind(), ts[1:].unbind(), strict=True):
        dt = (end - begin) / steps
        for n in range(steps):
            t = begin + n * dt
            k1 = module(t, y)
            k2 = module(t + dt / 3, y + dt * k1 / 3)
            k3 = module(t + 2 * dt / 3, y + dt * (k2 - k1 / 3))
            k4 = module(t + dt, y + dt * (k1 - k2 + k3))
            y = y + dt * (k1 + 3 * (k2 + k3) + k4) / 8
        states.append(y)
    return torch.stack(states)


LOOP = OdeIntEngine("bare loop", "steps", _rk4)


@dataclass(frozen=True)
class CapturedSteps(DiscreteEngine):
    """odecheck.discrete by graphs of one step. Where they cannot be made that is an error, and not a slower solve.

    Attributes:
        compile: as of `odecheck.discrete.record`.
    """

    compile: Compile = True

    def _record(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> discrete.Trajectory:
        found: list[discrete.Trajectory] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            found.append(discrete.record(field, start, times, compile=self.compile, **how))
            return start

        with warnings.catch_warnings():
            warnings.simplefilter("error", discrete.NotCompiled)
            solver.solve(cast(Any, solve), module, y0.detach(), ts.detach())
        return found[0]

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`, without a derivative in the times, which the graphs do not have."""
        got = discrete.gradient(self._record(module, solver, y0, ts), loss)
        theta = torch.cat([g.reshape(-1) for g in got.theta.values()])
        return Derivatives(got.y0, theta, torch.zeros_like(ts), "graphs of one step have none")


def variant(at: Posed, name: Variant) -> Callable[[], Tensor]:
    """What runs a posed computation in a variant. Raises whatever torch raises where it cannot."""
    if name == "eager":
        return at
    if name == "compiled":
        # the field alone: a solver's steps depend on data
        field: Any = torch.compile(at.module)  # pyright: ignore[reportUnknownMemberType]
        return replace(at, module=field)
    graph, found = captured(at, at.y0.device)
    return Replay(at, graph, found)


@dataclass(frozen=True)
class Replay:
    """A captured computation. It holds what the graph reads, whose memory must not be given to anything else."""

    at: Posed
    graph: Any
    found: Tensor

    def __call__(self) -> Tensor:
        """Replay; the result is written over by the next replay."""
        self.graph.replay()
        return self.found
