"""The field at all stage points of a segment at once: its Jacobian blocks and its second derivatives.

After the solve the stage points are known, so the field is evaluated at all of them in one call, through
`torch.func.vmap` over (t, y) where the field allows it and point by point where it does not. The result has to
agree with the recorded slopes: that refutes a field with noise, with a state of its own, or one changed since.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import torch
from torch import Tensor

from .pulls import CACHE, agree, pull
from .stepping import Field
from .trajectory import Segment, Trajectory


class CoupledRows(ValueError):
    """The Jacobian at a stage point has entries between rows although rows were declared independent."""


def at_points(field: Field, t: Tensor, y: Tensor) -> Tensor:
    """The field at (t (points,), y (points, *state)) → (points, *state), in one call where vmap can do it."""
    try:
        return torch.func.vmap(field)(t, y)
    except Exception:  # whatever vmap cannot do the loop can; an error of the field's own is raised again there
        return one_by_one(field, t, y)


def one_by_one(field: Field, t: Tensor, y: Tensor) -> Tensor:
    """The same, point after point."""
    return torch.stack([field(time, state) for time, state in zip(t.unbind(), y.unbind(), strict=True)])


@dataclass
class Chunk:
    """Some of the stage points as a graph, and a weighted graph on top of it.

    Attributes:
        t: (P,) times.
        y: (P, *state) points.
        k: (P, *state) slopes, with their graph.
        weight: (P, *state), what the slopes were contracted with.
        weighted: the derivatives of the weighted slopes in y and in every parameter, with their graph.
    """

    t: Tensor
    y: Tensor
    k: Tensor
    weight: Tensor | None = None
    weighted: list[Tensor] = dataclass_field(default_factory=list)

    def weigh(self, parameters: Sequence[Tensor], weight: Tensor) -> None:
        """Contract the slopes with a weight (P, *state), and differentiate that once."""
        self.weight = weight.detach().clone().requires_grad_()
        with torch.enable_grad():
            pulled = pull([self.k], [self.y, *parameters], [self.weight.unsqueeze(0)], graph=True)
        self.weighted = [g[0] for g in pulled]


class Points:
    """The field linearised at all stage points of a segment, in chunks that stay in the cache.

    Shapes: directions D first, then points P = steps · stages, then the state's.
    """

    def __init__(self, trajectory: Trajectory, segment: Segment, time_derivatives: bool = False) -> None:
        self.segment, self.shape = segment, trajectory.state_shape
        self.parameters = list(trajectory.parameters.values())
        self.clock, self.field = trajectory.stepper.clock, trajectory.stepper.field
        times = segment.times.reshape(-1)
        states, slopes = (x.reshape(-1, *self.shape) for x in (segment.points, segment.slopes))
        self.size = self._chunk_size(states)
        parts = zip(*(x.split(self.size) for x in (times, states, slopes)), strict=True)
        self.chunks = [self._chunk(t, y, k, time_derivatives) for t, y, k in parts]

    def _chunk_size(self, states: Tensor) -> int:
        """Points a chunk: a layer's values, about rows · sqrt(parameters) numbers a point, should fit the cache."""
        if states.device.type != "cpu":
            return len(states)
        rows = self.shape[0] if len(self.shape) > 1 else 1
        width = max(math.isqrt(sum(x.numel() for x in self.parameters)), states[0].numel() // rows, 1)
        count = max(1, round(len(states) * rows * width / CACHE))
        return -(-len(states) // count)

    def _chunk(self, t: Tensor, y: Tensor, slopes: Tensor, time_derivatives: bool) -> Chunk:
        t = t.detach().requires_grad_(time_derivatives)
        y = y.detach().requires_grad_()
        with torch.enable_grad():
            k = self.clock * at_points(self.field, t, y)
            if not agree(k, slopes):
                k = self.clock * one_by_one(self.field, t, y)
        if not agree(k, slopes):
            raise ValueError(
                "the field no longer gives the recorded slopes at the recorded stage points. Usual causes: noise "
                "or dropout, batch statistics that change, an attribute or a parameter changed since the solve. "
                "Record again, or switch the layer to evaluation mode"
            )
        return Chunk(t, y, k)

    def blocks(self, rows: int) -> Tensor | None:
        """Jacobian blocks (points, rows, d, d), d = state_size / rows; None if the rows turn out to be coupled.

        One cotangent more than a block has rows: a random one, by which every block is checked at every point.
        """
        return _joined([row_blocks(chunk.k, chunk.y, rows) for chunk in self.chunks])

    def second_blocks(self, rows: int) -> Tensor | None:
        """Blocks of the weight contracted with F_yy (points, rows, d, d); None if the rows turn out to be coupled."""
        return _joined([row_blocks(chunk.weighted[0], chunk.y, rows) for chunk in self.chunks])

    def pull_parameters(self, weights: Tensor) -> list[Tensor]:
        """Σ over points of F_θᵀ weight: weights (D, P, *state) → list of (D, *parameter)."""
        if not self.parameters:
            return []
        parts = zip(self.chunks, weights.split(self.size, dim=1), strict=True)
        return summed([pull([chunk.k], self.parameters, [weight]) for chunk, weight in parts])

    def pull_times(self, weights: Tensor) -> Tensor:
        """F_tᵀ weight at every point: weights (P, *state) → (P,)."""
        parts = zip(self.chunks, weights.split(self.size), strict=True)
        return torch.cat([pull([chunk.k], [chunk.t], [weight.unsqueeze(0)])[0][0] for chunk, weight in parts])

    def weigh(self, weight: Tensor, parameters: bool = True) -> list[Tensor]:
        """Fix the weight (P, *state) that second derivatives are contracted with; returns Σ F_θᵀ weight."""
        for chunk, part in zip(self.chunks, weight.split(self.size), strict=True):
            chunk.weigh(self.parameters if parameters else [], part)
        return summed([[g.detach() for g in chunk.weighted[1:]] for chunk in self.chunks])

    def push_parameters(self, directions: Sequence[Tensor]) -> Tensor:
        """F_θ θ̇: directions, a list of (D, *parameter) → (D, P, *state). Forward by differentiating a pull twice."""
        if self.chunks[0].weight is None:
            self.weigh(torch.ones_like(self.segment.slopes.reshape(-1, *self.shape)))
        pushed = [pull(chunk.weighted[1:], [_weight(chunk)], directions)[0] for chunk in self.chunks]
        return torch.cat(pushed, dim=1)

    def second(
        self, tangents: Tensor | None, directions: Sequence[Tensor] | None, parameters: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """The weight contracted with F's second derivative in the directions (ẏ, θ̇).

        Args:
            tangents: (D, P, *state), or None for ẏ = 0.
            directions: list of (D, *parameter), or None for θ̇ = 0.
            parameters: whether the derivative in θ is wanted too.

        Returns:
            (D, P, *state), and for every parameter, if wanted, (D, *parameter).
        """
        states, gains = [], []
        parts = [None] * len(self.chunks) if tangents is None else tangents.split(self.size, dim=1)
        for chunk, tangent in zip(self.chunks, parts, strict=True):
            outputs = chunk.weighted[tangent is None : None if directions is not None else 1]
            inputs = [chunk.y, *(self.parameters if parameters else [])]
            state, *gain = pull(outputs, inputs, [*([] if tangent is None else [tangent]), *(directions or [])])
            states.append(state)
            gains.append(gain)
        return torch.cat(states, dim=1), summed(gains)


def row_blocks(k: Tensor, y: Tensor, rows: int) -> Tensor | None:
    """Jacobians ∂k/∂y row by row, at every point (points, rows, d, d); None if a random probe sees other entries."""
    weights = row_weights(y, rows)
    return blocks_of(pull([k], [y], [weights])[0], weights, rows)


def row_weights(y: Tensor, rows: int) -> Tensor:
    """What is pulled back for the blocks at points (points, *state): (d, or d + 1 with a probe, points, *state)."""
    points, d = len(y), y[0].numel() // rows
    weights = y.new_zeros(d + (rows > 1), points, rows, d)
    for j in range(d):
        weights[j, :, :, j] = 1
    if rows > 1:
        random = torch.Generator().manual_seed(0)
        weights[d] = torch.randn(points, rows, d, generator=random, dtype=y.dtype).to(y.device)
    return weights.reshape(-1, *y.shape)


def blocks_of(pulled: Tensor, weights: Tensor, rows: int) -> Tensor | None:
    """The blocks (points, rows, d, d) in what was pulled back, both like `row_weights`; None if the probe differs."""
    points = weights.shape[1]
    pulled, weights = (x.reshape(len(x), points, rows, -1) for x in (pulled, weights))
    d = pulled.shape[-1]
    jacobian = pulled[:d].permute(1, 2, 0, 3).contiguous()
    if rows == 1 or agree(pulled[d], (weights[d].unsqueeze(-2) @ jacobian).squeeze(-2)):
        return jacobian
    return None


def _joined(blocks: Sequence[Tensor | None]) -> Tensor | None:
    whole = [block for block in blocks if block is not None]
    return torch.cat(whole) if len(whole) == len(blocks) else None


def _weight(chunk: Chunk) -> Tensor:
    assert chunk.weight is not None
    return chunk.weight


def summed(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Lists of tensors, added entry by entry."""
    if len(parts) == 1:
        return list(parts[0])
    return [torch.stack(list(values)).sum(0) for values in zip(*parts, strict=True)]
