"""Exact derivatives of recorded steps: tangent, adjoint and second-order adjoint, all directions on one trajectory.

They are derivatives *of the steps* (discretise, then differentiate), with the accepted step sizes held fixed, and
equal automatic differentiation through the same steps to round-off. A loss is any twice differentiable function of
the solution (times, *state) → scalar. "theta" is a dictionary name → tensor, as in `Trajectory.parameters`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .capturable import Doubt, NotCompiled
from .compiled import CompiledSteps
from .copies import pull_by_row
from .linearised import Linearised, Loss, checked, gradient_unrolls, loss_and_slope, unrolls
from .pulls import pull
from .results import Gradient, HessianProducts, Theta, checked_directions, named_parts
from .trajectory import Trajectory
from .unrolled import Unrolled

if TYPE_CHECKING:
    from jaxtyping import Float


def jvp(
    trajectory: Trajectory,
    *,
    y0: Float[Tensor, " D *state"] | None = None,
    theta: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, " D times *state"]:
    """Tangents of the solution in D directions, all solved together.

    Args:
        trajectory: the recorded steps.
        y0: directions of the start, or None.
        theta: name → (D, *parameter) directions of parameters, or None; a parameter left out does not move.

    Returns:
        How the solution moves along every direction.

    Raises:
        ValueError: no direction, different numbers of directions, an unknown parameter.
    """
    start, directions = checked_directions(trajectory, y0, theta)
    if trajectory.compiled is not None:
        trajectory.unchanged()
        along = _along(trajectory, directions, len(start))
        try:
            return trajectory.compiled.tangents(start.view(-1, *trajectory.state_shape), along)
        except Doubt as why:
            warnings.warn(f"these tangents are not compiled: {why}", NotCompiled, stacklevel=2)
    outputs, _ = _forward(Linearised(trajectory), start, directions)
    return outputs.reshape(len(start), *trajectory.solution.shape)


def _forward(segments: Linearised, start: Tensor, directions: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
    """Tangents at the observations (D, times, state_size), and x at the start of every segment."""
    outputs = start.new_zeros(len(start), len(segments.trajectory.observed), start.shape[-1])
    outputs[:, 0] = start
    x, starts = segments.start(start), []
    for index in range(len(segments.bounds)):
        starts.append(x)
        points, recursion = segments[index]
        forcing = None if directions is None else segments.stages(points.push_parameters(directions))
        xs, _ = recursion.tangent(x, forcing)
        seen, at = segments.outputs(index)
        outputs[:, seen] = xs[:, [i + 1 for i in at], 0]
        x = xs[:, -1]
    return outputs, starts


def vjp(
    trajectory: Trajectory, cotangents: Float[Tensor, " D times *state"]
) -> tuple[Float[Tensor, " D *state"], Theta]:
    """Adjoints for D cotangents of the solution, all solved together.

    Args:
        trajectory: the recorded steps.
        cotangents: of the solution at the observation times.

    Returns:
        The part in y0, and name → the part in that parameter, (D, *parameter).

    Raises:
        ValueError: see `Trajectory.segment`.
    """
    start, theta, _ = _backward(Linearised(trajectory), cotangents.detach().flatten(2))
    return start.reshape(-1, *trajectory.state_shape), named_parts(trajectory, theta)


def adjoint_by_row(trajectory: Trajectory, cotangents: Tensor) -> tuple[Tensor, Theta]:
    """As `vjp`, with the theta part of every row of the state by itself: name → (D, rows, *parameter).

    Raises:
        ValueError: the state has no rows, or they are coupled.
    """
    segments = Linearised(trajectory)
    if len(trajectory.state_shape) < 2:
        raise ValueError("row by row needs a state of two axes or more, rows first")
    start, theta, _ = _backward(segments, cotangents.detach().flatten(2), by_row=True)
    return start.reshape(-1, *trajectory.state_shape), named_parts(trajectory, theta)


def _backward(
    segments: Linearised, cotangents: Tensor, by_row: bool = False
) -> tuple[Tensor, list[Tensor], Tensor | None]:
    """Adjoint in y0 (D, state_size), in the parameters, and (for one direction) in the observation times."""
    x = torch.zeros_like(segments.start(cotangents[:, 0]))
    rows = segments.trajectory.state_shape[:1] if by_row else ()
    theta = [p.new_zeros(len(cotangents), *rows, *p.shape) for p in segments.trajectory.parameters.values()]
    times = torch.zeros_like(segments.trajectory.times, dtype=x.dtype) if segments.time_derivatives else None
    for index in reversed(range(len(segments.bounds))):
        points, recursion = segments[index]
        kappa, x = recursion.adjoint(x, segments.jumps(index, cotangents), None)
        weights = segments.states(kappa)
        gains = pull_by_row(points, recursion, weights) if by_row else points.pull_parameters(weights)
        theta = [a + b for a, b in zip(theta, gains, strict=True)]
        if times is not None:
            times = times + segments.time_adjoint(points, weights[0], kappa[0])
    return x.sum(1) + cotangents[:, 0], theta, times


def gradient(trajectory: Trajectory, loss: Loss, *, times: bool = False) -> Gradient:
    """Value and gradient of a loss of the solution.

    Args:
        trajectory: the recorded steps.
        loss: (times, *state) → scalar.
        times: also the derivative in every observation time. It is the one of the steps when each step keeps its
            place *as a fraction of the interval between two observation times* and the stage times move along;
            for a fixed-step method whose grid is `t` that is automatic differentiation in t.

    Returns:
        The value and the derivatives of the steps.

    Raises:
        ValueError: the loss is no scalar; see also `Trajectory.segment`.
    """
    value, _, slope = loss_and_slope(trajectory, loss)
    if (trajectory.compiled is not None or gradient_unrolls(trajectory)) and not times:
        start, *theta = (_compiled(trajectory) or Unrolled(trajectory)).gradient(slope.detach())
        return Gradient(value, start, named_parts(trajectory, theta))
    cotangents = slope.detach().flatten(1).unsqueeze(0)
    start, theta, in_times = _backward(Linearised(trajectory, times), cotangents)
    shaped = start.reshape(trajectory.state_shape)
    return Gradient(value, shaped, named_parts(trajectory, [g[0] for g in theta]), in_times)


def hvp(
    trajectory: Trajectory,
    loss: Loss,
    *,
    y0: Float[Tensor, " D *state"] | None = None,
    theta: Mapping[str, Tensor] | None = None,
) -> HessianProducts:
    """Value, gradient and Hessian-vector products of a loss of the solution, in (y0, theta).

    Args:
        trajectory: the recorded steps.
        loss: (times, *state) → scalar.
        y0: directions of the start, or None.
        theta: name → (D, *parameter) directions of parameters, or None; a parameter left out does not move.

    Returns:
        The gradient, and the Hessian of the steps times every direction.

    Raises:
        ValueError: the loss is no scalar; no direction, different numbers of directions, an unknown parameter.
    """
    start, directions = checked_directions(trajectory, y0, theta)
    if trajectory.compiled is not None:
        try:
            return _compiled_products(trajectory, trajectory.compiled, loss, start, directions)
        except Doubt as why:
            warnings.warn(f"these products are not compiled: {why}", NotCompiled, stacklevel=2)
    if len(start) == 1 and unrolls(trajectory):
        return _unrolled_products(trajectory, loss, start, directions)
    value, outputs, slope = loss_and_slope(trajectory, loss)
    first = slope.detach().flatten(1).unsqueeze(0)
    segments = Linearised(trajectory)

    def curvature(tangents: Tensor) -> Tensor:
        return pull([slope], [outputs], [tangents.reshape(-1, *outputs.shape)])[0].flatten(2)

    if segments.single:
        return _in_one_segment(segments, value, first, curvature, start, directions)
    tangents, starts = _forward(segments, start, directions)
    return _segment_by_segment(segments, value, first, curvature(tangents), starts, directions)


def _compiled(trajectory: Trajectory) -> CompiledSteps | None:
    trajectory.unchanged()
    return trajectory.compiled


def _along(trajectory: Trajectory, directions: list[Tensor] | None, count: int) -> list[Tensor]:
    return directions or [p.new_zeros(1).expand(count, *p.shape) for p in trajectory.parameters.values()]


def _compiled_products(
    trajectory: Trajectory, steps: CompiledSteps, loss: Loss, start: Tensor, directions: list[Tensor] | None
) -> HessianProducts:
    trajectory.unchanged()
    at = loss_and_slope(trajectory, loss)
    starts, along = start.view(-1, *trajectory.state_shape), _along(trajectory, directions, len(start))
    first, second = steps.products(at, starts, along)
    found = Gradient(at[0], first[0], named_parts(trajectory, first[1:]))
    return HessianProducts(found, second[0], named_parts(trajectory, second[1:]))


def _unrolled_products(
    trajectory: Trajectory, loss: Loss, start: Tensor, directions: list[Tensor] | None
) -> HessianProducts:
    graph = Unrolled(trajectory)
    along = _along(trajectory, directions, 1)
    with torch.enable_grad():
        value = checked(loss(graph.solution))
    first, second = graph.products(value, [start.view(1, *trajectory.state_shape), *along])
    found = Gradient(value.detach(), first[0], named_parts(trajectory, first[1:]))
    return HessianProducts(found, second[0], named_parts(trajectory, second[1:]))


def _in_one_segment(
    segments: Linearised,
    value: Tensor,
    first: Tensor,
    curvature: Callable[[Tensor], Tensor],
    start: Tensor,
    directions: list[Tensor] | None,
) -> HessianProducts:
    """The adjoint comes first: its weights serve the tangent and the second order alike."""
    points, recursion = segments[0]
    kappa, x = recursion.adjoint(segments.start(torch.zeros_like(first[:, 0])), segments.jumps(0, first), None)
    theta = points.weigh(segments.states(kappa)[0])
    forcing = None if directions is None else segments.stages(points.push_parameters(directions))
    xs, z = recursion.tangent(segments.start(start), forcing)
    tangents = xs[:, list(segments.trajectory.observed), 0]
    tangents[:, 0] = start
    bent = curvature(tangents)
    dx, dtheta = _second_adjoint(segments, 0, z, torch.zeros_like(segments.start(start)), bent, directions)
    return _collect(segments, value, (x, first, theta), (dx, bent, dtheta))


def _second_adjoint(
    segments: Linearised, index: int, z: Tensor, dx: Tensor, curvature: Tensor, directions: list[Tensor] | None
) -> tuple[Tensor, list[Tensor]]:
    """Second adjoint through one segment whose points are weighed: (dx at its start, what θ receives)."""
    points, recursion = segments[index]
    source, direct = points.second(segments.states(z), directions)
    dkappa, dx = recursion.adjoint(dx, segments.jumps(index, curvature), segments.stages(source))
    through = points.pull_parameters(segments.states(dkappa))
    return dx, [a + b for a, b in zip(direct, through, strict=True)]


def _segment_by_segment(
    segments: Linearised,
    value: Tensor,
    first: Tensor,
    curvature: Tensor,
    starts: list[Tensor],
    directions: list[Tensor] | None,
) -> HessianProducts:
    """First and second adjoint backwards through the segments; first (1, …), curvature (D, …) are cotangents."""
    x, dx = segments.start(torch.zeros_like(first[:, 0])), segments.start(torch.zeros_like(curvature[:, 0]))
    theta = [torch.zeros_like(p) for p in segments.trajectory.parameters.values()]
    dtheta = [p.new_zeros(len(dx), *p.shape) for p in theta]
    for index in reversed(range(len(segments.bounds))):
        points, recursion = segments[index]
        segments.hold(points, recursion)
        kappa, x = recursion.adjoint(x, segments.jumps(index, first), None)
        theta = [a + b for a, b in zip(theta, points.weigh(segments.states(kappa)[0]), strict=True)]
        forcing = None if directions is None else segments.stages(points.push_parameters(directions))
        _, z = recursion.tangent(starts[index], forcing)
        dx, gains = _second_adjoint(segments, index, z, dx, curvature, directions)
        dtheta = [a + b for a, b in zip(dtheta, gains, strict=True)]
        segments.release()
    return _collect(segments, value, (x, first, theta), (dx, curvature, dtheta))


def _collect(
    segments: Linearised,
    value: Tensor,
    first: tuple[Tensor, Tensor, list[Tensor]],
    second: tuple[Tensor, Tensor, list[Tensor]],
) -> HessianProducts:
    """Results from (x at the start, cotangents of the outputs, θ part) of the first and the second adjoint."""
    trajectory = segments.trajectory
    shape = trajectory.state_shape
    (x, cotangent, theta), (dx, dcotangent, dtheta) = first, second
    found = Gradient(value, (x.sum(1) + cotangent[:, 0]).view(shape), named_parts(trajectory, theta))
    return HessianProducts(found, (dx.sum(1) + dcotangent[:, 0]).reshape(-1, *shape), named_parts(trajectory, dtheta))
