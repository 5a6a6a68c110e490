"""The field at all stage points of a segment at once: its Jacobian blocks and its second derivatives.

After the solve the stage points are known, so the field is evaluated at all of them in one call, through
`torch.func.vmap` over (t, y) where the field allows it and point by point where it does not. The result has to
agree with the recorded slopes: that refutes a field with noise, with a state of its own, or one changed since.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from odecheck.discrete.record import Segment, Trajectory
from odecheck.discrete.stepping import Field


class CoupledRows(ValueError):
    """The Jacobian at a stage point has entries between rows although rows were declared independent."""


def at_points(field: Field, t: Tensor, y: Tensor) -> Tensor:
    """The field at (t (points,), y (points, *state)) → (points, *state), in one call where vmap can do it."""
    try:
        return torch.func.vmap(field)(t, y)
    except Exception:  # whatever vmap cannot do the loop can; an error of the field's own is raised again there
        return one_by_one(field, t, y)


def one_by_one(field: Field, t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([field(time, state) for time, state in zip(t.unbind(), y.unbind(), strict=True)])


def pull(outputs: Sequence[Tensor], inputs: Sequence[Tensor], weights: Sequence[Tensor], graph: bool = False):
    """Vector-Jacobian products for many directions: weights (directions, *output) → list of (directions, *input).

    Outputs that depend on nothing, and inputs that nothing depends on, give zeros.
    """
    used = [(x, w) for x, w in zip(outputs, weights, strict=True) if x.requires_grad]
    directions = len(weights[0])
    if not used:
        return [x.new_zeros(directions, *x.shape) for x in inputs]
    xs = [x for x, _ in used]

    def once(ws: list[Tensor], batched: bool) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(
            xs, list(inputs), ws, retain_graph=True, create_graph=graph, allow_unused=True, is_grads_batched=batched
        )

    def each() -> list[tuple[Tensor | None, ...]]:
        return [once([w[i] for _, w in used], False) for i in range(directions)]

    if directions == 1:
        columns = each()
    else:
        try:
            batch = once([w for _, w in used], True)
            return [_or_zeros(g, x, directions) for g, x in zip(batch, inputs, strict=True)]
        except RuntimeError:  # a backward pass that vmap cannot batch: one direction after the other
            columns = each()
    return [
        _or_zeros(None if gs[0] is None else torch.stack(gs), x, directions)  # type: ignore[arg-type]
        for gs, x in zip(zip(*columns, strict=True), inputs, strict=True)
    ]


def _or_zeros(g: Tensor | None, like: Tensor, directions: int) -> Tensor:
    return like.new_zeros(directions, *like.shape) if g is None else g


class Points:
    """The field linearised at all stage points of a segment.

    Shapes: directions D first, then points P = steps · stages, then the state's.
    """

    def __init__(self, trajectory: Trajectory, segment: Segment, time_derivatives: bool = False) -> None:
        self.segment, self.shape = segment, trajectory.state_shape
        self.parameters = list(trajectory.parameters.values())
        self.clock, self.field = trajectory.stepper.clock, trajectory.stepper.field
        self.t = segment.times.reshape(-1).requires_grad_(time_derivatives)
        self.y = segment.points.reshape(-1, *self.shape).requires_grad_()
        slopes = segment.slopes.reshape(self.y.shape)
        with torch.enable_grad():
            self.k = self._evaluate(at_points)
            if not agree(self.k, slopes):
                self.k = self._evaluate(one_by_one)
        if not agree(self.k, slopes):
            raise ValueError(
                "the field no longer gives the recorded slopes at the recorded stage points. Usual causes: noise "
                "or dropout, batch statistics that change, an attribute or a parameter changed since the solve. "
                "Record again, or switch the layer to evaluation mode"
            )
        self.weight: Tensor | None = None
        self.weighted: list[Tensor] = []

    def _evaluate(self, route) -> Tensor:
        k = route(self.field, self.t, self.y)
        return k if self.clock > 0 else -k

    def blocks(self, rows: int, declared: bool) -> Tensor | None:
        """Jacobian blocks (points, rows, d, d), d = state_size / rows; None if the rows turn out to be coupled.

        One cotangent more than a block has rows: a random one, by which every block is checked at every point.

        Raises:
            CoupledRows: the rows were declared independent and are not.
        """
        points, d = len(self.y), self.y[0].numel() // rows
        weights = self.y.new_zeros(d + 1, points, rows, d)
        for j in range(d):
            weights[j, :, :, j] = 1
        probe = torch.randn(points, rows, d, generator=torch.Generator().manual_seed(0), dtype=self.y.dtype)
        weights[d] = probe.to(self.y.device)
        if rows == 1:
            weights = weights[:d]
        (pulled,) = pull([self.k], [self.y], [weights.view(-1, *self.y.shape)])
        pulled = pulled.view(-1, points, rows, d)
        jacobian = pulled[:d].permute(1, 2, 0, 3).contiguous()
        if rows == 1 or agree(pulled[d], (weights[d].unsqueeze(-2) @ jacobian).squeeze(-2)):
            return jacobian
        if declared:
            raise CoupledRows("the rows were declared independent, but a slope depends on another row of the state")
        return None

    def pull_parameters(self, weights: Tensor) -> list[Tensor]:
        """Σ over points of F_θᵀ weight: weights (D, P, *state) → list of (D, *parameter)."""
        return pull([self.k], self.parameters, [weights]) if self.parameters else []

    def weigh(self, weight: Tensor) -> list[Tensor]:
        """Fix the weight (P, *state) that second derivatives are contracted with; returns Σ F_θᵀ weight."""
        self.weight = weight.detach().clone().requires_grad_()
        with torch.enable_grad():
            inputs = [self.y, *self.parameters]
            self.weighted = [g[0] for g in pull([self.k], inputs, [self.weight.unsqueeze(0)], graph=True)]
        return [g.detach() for g in self.weighted[1:]]

    def push_parameters(self, directions: Sequence[Tensor]) -> Tensor:
        """F_θ θ̇: directions, a list of (D, *parameter) → (D, P, *state). Forward by differentiating a pull twice."""
        if self.weight is None:
            self.weigh(torch.ones_like(self.k))
        assert self.weight is not None
        return pull(self.weighted[1:], [self.weight], directions)[0]

    def push(self, tangents: Tensor) -> Tensor:
        """F_y ẏ: tangents (D, P, *state) → (D, P, *state)."""
        if self.weight is None:
            self.weigh(torch.ones_like(self.k))
        assert self.weight is not None
        return pull(self.weighted[:1], [self.weight], [tangents])[0]

    def second(self, tangents: Tensor, directions: Sequence[Tensor] | None, parameters: bool = True) -> list[Tensor]:
        """The weight contracted with F's second derivative in the directions (ẏ, θ̇).

        Args:
            tangents: (D, P, *state).
            directions: list of (D, *parameter), or None for θ̇ = 0.
            parameters: whether the derivative in θ is wanted too.

        Returns:
            [(D, P, *state), then (D, *parameter) for every parameter if wanted].
        """
        outputs = self.weighted if directions is not None else self.weighted[:1]
        weights = [tangents, *(directions or [])]
        return pull(outputs, [self.y, *(self.parameters if parameters else [])], weights)


def agree(a: Tensor, b: Tensor) -> bool:
    """Whether two results of the same computation in another order are equal to round-off."""
    return bool((a - b).abs().max() <= 3e3 * torch.finfo(a.dtype).eps * (1e-3 + b.abs().max()))
