"""The function whose change of sign ends a solve, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .precision import InDouble


@dataclass
class Event:
    """What ends a solve.

    function: the user's, (t, y) → a tensor. parts: a flat state as its parts; packed: these as the user takes them;
    time, vector: a number and a flat state as tensors where the user takes them. signs: of its outputs at the start.
    own: the dtype of the state in the step. observed: the time that the solver found. slack: how far the solution may
    be off, in the norm of the state. when: the event's time as it is known so far; located: whether it is from a look
    at the whole solution.
    """

    function: Callable[..., Tensor]
    parts: Callable[[Tensor], list[Tensor]]
    packed: Callable[[list[Tensor]], Any]
    time: Callable[[float], Tensor]
    vector: Callable[[NDArray[np.float64]], Tensor]
    signs: Tensor
    own: torch.dtype
    observed: float
    slack: float
    when: float = field(init=False)
    located: bool = False

    def __post_init__(self) -> None:
        self.when = self.observed

    def first(self, t: Tensor, y: list[Tensor]) -> Tensor:
        """g: the smallest output, positive from the start to the event."""
        return torch.min(self.outputs(t, y))

    def outputs(self, t: Tensor, y: list[Tensor]) -> Tensor:
        """The outputs with the signs that make them positive at the start, without those that are zero there."""
        with InDouble(self.own):
            outputs = self.function(t, self.packed(y)).reshape(-1).double()
        return (outputs * self.signs)[self.signs != 0]

    def values(self, t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs at a time and a flat state, the smallest first."""
        with torch.enable_grad():  # an event function may differentiate inside
            outputs = self.outputs(self.time(t), self.parts(self.vector(y)))
        return np.sort(outputs.detach().cpu().numpy())

    def value(self, t: float, y: NDArray[np.float64]) -> float:
        """G as a number."""
        return float(self.values(t, y)[0])
