"""Functions of tensors as CUDA graphs: captured once, then replayed, so that a step costs one launch and not hundreds.

A replay reads what the capture read and writes where the capture wrote, at the same places in memory. So the inputs
are copied in, and the results are copied out before the next replay writes over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from odecheck import compat

# runs before a capture, as torch asks for: what allocates once, or looks for the quickest kernel, does it there
WARM = 3
T = TypeVar("T")


def captured(run: Callable[[], T], device: torch.device) -> tuple[Any, T]:
    """Warm up on a side stream, and capture there once. The current stream is the same afterwards.

    Where a capture fails, torch's context manager ends with another error, in the middle: its stream stays the current
    one, and everything after it would run there. Whether the allocator still believes that a capture goes on cannot be
    asked, so that a process in which one has failed should end.

    Args:
        run: computes on the device, from tensors that stay where they are, without a look at their values.
        device: of CUDA.

    Returns:
        The graph, and what the captured run gave: every replay writes there.

    Raises:
        Exception: whatever torch raises where it cannot.
    """
    with torch.cuda.device(device):
        before = torch.cuda.current_stream()
        side: Any = torch.cuda.Stream()
        graph: Any = torch.cuda.CUDAGraph()
        try:
            side.wait_stream(before)
            with torch.cuda.stream(side):
                for _ in range(WARM):
                    run()
            before.wait_stream(side)
            with torch.cuda.graph(graph, stream=side):
                found = run()
        finally:
            torch.cuda.set_stream(before)
    return graph, found


class Replayed:
    """A function of a list of tensors, captured at its first call. Its results are the caller's own."""

    def __init__(self, function: Callable[[list[Tensor]], Sequence[Tensor]]) -> None:
        self._function = function
        self._inputs: list[Tensor] = []
        self._results: list[Tensor] = []
        self._replay: Callable[[], None] | None = None

    @torch.no_grad()
    def __call__(self, values: list[Tensor]) -> list[Tensor]:
        """The function of values shaped like those of the first call."""
        replay = self._replay or self._captured(values)
        compat.copy_all(self._inputs, values)
        replay()
        found = [torch.empty_like(x) for x in self._results]
        compat.copy_all(found, self._results)
        return found

    def _captured(self, values: Sequence[Tensor]) -> Callable[[], None]:
        self._inputs = [torch.empty_like(x).copy_(x) for x in values]
        graph, self._results = captured(lambda: list(self._function(list(self._inputs))), values[0].device)
        self._replay = replay = graph.replay
        return replay
