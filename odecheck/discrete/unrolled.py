"""The recorded steps as one graph: for a gradient or a single product with wide fields nothing is cheaper.

Blocks cost as many passes as a row is long, and batching all stage points leaves the cache; with one direction and
wide layers plain automatic differentiation through the recorded steps, free of any step control, does less.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .pulls import agree, pull
from .stepping import combine, on_device
from .trajectory import Trajectory


class Unrolled:
    """A graph of all recorded steps with its leaves, y0 (*state) and the parameters.

    Raises:
        ValueError: the field no longer gives the recorded solution, or a parameter was changed since.
    """

    def __init__(self, trajectory: Trajectory) -> None:
        trajectory.unchanged()
        if trajectory.graph is not None:
            start, self.solution = trajectory.graph
        else:
            start = trajectory.solution[0].detach().clone().requires_grad_()
            with torch.enable_grad():
                self.solution = _solution(trajectory, start)
        self.inputs = [start, *trajectory.parameters.values()]
        if not agree(self.solution, trajectory.solution):
            raise ValueError("the field no longer gives the recorded slopes: record the steps again")

    def gradient(self, cotangents: Tensor) -> list[Tensor]:
        """Cotangents of the solution (times, *state) → [in y0, in every parameter]."""
        return [g[0] for g in pull([self.solution], self.inputs, [cotangents.unsqueeze(0)])]

    def products(self, value: Tensor, directions: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """A value () of the solution → ([gradient], [its Hessian's products with one direction (1, …) per input])."""
        with torch.enable_grad():
            one = torch.ones(1, dtype=value.dtype, device=value.device)
            slopes = [g[0] for g in pull([value], self.inputs, [one], graph=True)]
        return [g.detach() for g in slopes], pull(slopes, self.inputs, directions)


def _solution(trajectory: Trajectory, y: Tensor) -> Tensor:
    """The recorded steps from y (*state) → (times, *state)."""
    tableau, stepper = trajectory.tableau.effective(), trajectory.stepper
    states, stale = [y], y
    for h, times in zip(trajectory.sizes, trajectory.stage_times, strict=True):
        at = on_device(times, y.dtype, y.device).mul(stepper.clock).unbind()
        k: list[Tensor] = []
        point = y
        for i in range(tableau.stages):
            point = stale if tableau.carries and i == 0 else combine(y, h, tableau.a[i], k)
            k.append(stepper.clock * stepper.field(at[i], point) if stepper.clock < 0 else stepper.field(at[i], point))
        y, stale = combine(y, h, tableau.b, k), point
        states.append(y)
    return torch.stack([states[i] for i in trajectory.observed])
