"""What the GPU suite runs beside a computation as it is: its field compiled, or the whole replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from odecheck.cost import Posed
from odecheck.engines.base import OdeIntEngine

Variant = Literal["eager", "compiled", "CUDA graph"]
SPAN = 0.5  # between two outputs of every computation of the suite
WARM = 3  # runs before a capture, as torch asks for


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


def variant(at: Posed, name: Variant) -> Callable[[], Tensor]:
    """What runs a posed computation in a variant. Raises whatever torch raises where it cannot."""
    if name == "eager":
        return at
    if name == "compiled":
        field: Any = torch.compile(at.module)  # the field alone: a solver's steps depend on data
        return replace(at, module=field)
    return captured(at)


@dataclass(frozen=True)
class Replay:
    """A captured computation. It holds what the graph reads, whose memory must not be given to anything else."""

    at: Posed
    graph: Any
    found: Tensor

    def __call__(self) -> Tensor:
        self.graph.replay()
        return self.found


def captured(at: Posed) -> Replay:
    """The computation, warmed up on a side stream, captured there once. The current stream is the same afterwards.

    Where a capture fails, torch's context manager ends with another error, in the middle: its stream stays the current
    one, and everything after it would run there. Whether the allocator still believes that a capture goes on cannot be
    asked, so that graphs belong last.
    """
    with torch.cuda.device(at.y0.device):
        before = torch.cuda.current_stream()
        side: Any = torch.cuda.Stream()
        graph: Any = torch.cuda.CUDAGraph()
        try:
            side.wait_stream(before)
            with torch.cuda.stream(side):
                for _ in range(WARM):
                    at()
            before.wait_stream(side)
            with torch.cuda.graph(graph, stream=side):
                found = at()
        finally:
            torch.cuda.set_stream(before)
    return Replay(at, graph, found)
