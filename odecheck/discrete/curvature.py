"""Hessians of recorded steps, and the low-rank factors of their Gauss-Newton form.

With the tangents ż of all stage points in all directions and the adjoints κ of all slopes, the Hessian of the steps
is a congruence, H = Ẏᵀ Φ_YY Ẏ + Σ_points [ż, θ̇]ᵀ ∇²(κ·F) [ż, θ̇], so one adjoint serves every direction. Without its
second term it is the Gauss-Newton form (SNOpt, arXiv:2109.14158: if Φ_YY = Σ y_i y_iᵀ it is Σ of outer products of
the adjoints q_i, p_i that start from y_i).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .copies import push_unit_parameters
from .derivatives import adjoint_by_row, hvp, vjp
from .linearised import Linearised, Loss, loss_and_slope
from .pulls import pull
from .recursion import Blocks
from .results import Theta
from .stage_points import Points
from .trajectory import Trajectory

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class GaussNewtonFactors:
    """Rows with Σ_i (q_i, p_i) (q_i, p_i)ᵀ = the Gauss-Newton matrix in (y0, theta).

    Attributes:
        y0: q; for factors of every row by itself likewise, row b of the state belonging to row b.
        theta: p, name → (R, *parameter), or (R, rows, *parameter) for factors of every row by itself.
    """

    y0: Float[Tensor, " R *state"]
    theta: Theta


def hessian_y0(trajectory: Trajectory, loss: Loss) -> Float[Tensor, "state_size state_size"]:
    """The Hessian of a loss of the solution in y0, flattened.

    Args:
        trajectory: the recorded steps.
        loss: (times, *state) → scalar.

    Returns:
        A symmetric matrix.

    Raises:
        ValueError: the loss is no scalar; see also `Trajectory.segment`.
    """
    return _hessian(trajectory, loss, y0=True, theta=False)


def hessian_theta(trajectory: Trajectory, loss: Loss) -> Float[Tensor, "params params"]:
    """The Hessian of a loss of the solution in all parameters, flattened in their order.

    Args:
        trajectory: the recorded steps.
        loss: (times, *state) → scalar.

    Returns:
        A symmetric matrix.

    Raises:
        ValueError: the loss is no scalar; see also `Trajectory.segment`.
    """
    return _hessian(trajectory, loss, y0=False, theta=True)


def hessian(trajectory: Trajectory, loss: Loss) -> Float[Tensor, "size size"]:
    """The Hessian of a loss of the solution in (y0, theta), flattened in this order.

    Args:
        trajectory: the recorded steps.
        loss: (times, *state) → scalar.

    Returns:
        A symmetric matrix of state_size + params rows.

    Raises:
        ValueError: the loss is no scalar; see also `Trajectory.segment`.
    """
    return _hessian(trajectory, loss, y0=True, theta=True)


def _hessian(trajectory: Trajectory, loss: Loss, y0: bool, theta: bool) -> Tensor:
    segments = Linearised(trajectory)
    if not segments.single:
        return _by_products(trajectory, loss, y0, theta)
    _, outputs, slope = loss_and_slope(trajectory, loss)
    points, recursion = segments[0]
    first = slope.detach().flatten(1).unsqueeze(0)
    kappa, _ = recursion.adjoint(segments.start(torch.zeros_like(first[:, 0])), segments.jumps(0, first), None)
    points.weigh(segments.states(kappa)[0], parameters=theta)
    state_size, like = first.shape[-1], first
    unit = _unit(points.parameters) if theta else None
    count = 0 if unit is None else len(unit[0])
    start = like.new_zeros(y0 * state_size + count, state_size)
    if y0:
        start[:state_size] = torch.eye(state_size, dtype=like.dtype, device=like.device)
    forcing = None
    if unit is not None:
        forcing = segments.stages(push_unit_parameters(points, unit))
        forcing = torch.cat([forcing.new_zeros(len(start) - count, *forcing.shape[1:]), forcing])
    xs, z = recursion.tangent(segments.start(start), forcing)
    tangents = xs[:, list(trajectory.observed), 0]
    bent = pull([slope], [outputs], [tangents.reshape(-1, *outputs.shape)])[0].flatten(1)
    result = bent @ tangents.flatten(1).T + _congruence(points, recursion, segments.states(z))
    if unit is not None:
        mixed, direct = points.second(None, unit)
        cross = mixed.flatten(1) @ z.flatten(1).T
        result[-count:] += cross
        result[:, -count:] += cross.T
        result[-count:, -count:] += torch.cat([part.reshape(len(part), -1) for part in direct], dim=1)
    return result


def _congruence(points: Points, recursion: object, z: Tensor) -> Tensor:
    """Σ over points żᵀ (κ·F_yy) ż for tangents z (D, P, *state) → (D, D)."""
    rows = recursion.rows if isinstance(recursion, Blocks) else 0
    blocks = points.second_blocks(rows) if rows else None
    if blocks is None:
        bent, _ = points.second(z, None, parameters=False)
    else:
        columns = z.reshape(len(z), len(blocks), rows, -1).permute(1, 2, 3, 0)
        bent = (blocks @ columns).permute(3, 0, 1, 2)
    return bent.reshape(len(z), -1) @ z.flatten(1).T


def _unit(parameters: list[Tensor]) -> list[Tensor]:
    """One direction for every number of every parameter: list of (all numbers, *parameter)."""
    count = sum(x.numel() for x in parameters)
    eye = torch.eye(count, dtype=parameters[0].dtype, device=parameters[0].device)
    return [part.reshape(count, *x.shape) for part, x in zip(_split(eye, parameters), parameters, strict=True)]


def _split(matrix: Tensor, parameters: list[Tensor]) -> tuple[Tensor, ...]:
    return matrix.split([x.numel() for x in parameters], dim=1)


def _by_products(trajectory: Trajectory, loss: Loss, y0: bool, theta: bool) -> Tensor:
    """The Hessian row by row as products with unit directions, for a trajectory that is recomputed piecewise."""
    parameters, size = list(trajectory.parameters.values()), trajectory.state_shape.numel()
    count = sum(x.numel() for x in parameters) if theta else 0
    eye = torch.eye(size * y0 + count, dtype=trajectory.solution.dtype, device=trajectory.solution.device)
    starts = eye[:, :size].reshape(-1, *trajectory.state_shape) if y0 else None
    parts = _split(eye[:, size * y0 :], parameters) if theta else ()
    units = {n: u.reshape(-1, *p.shape) for (n, p), u in zip(trajectory.parameters.items(), parts, strict=theta)}
    products = hvp(trajectory, loss, y0=starts, theta=units)
    columns = [products.y0.flatten(1)] if y0 else []
    columns += [part.reshape(len(part), -1) for part in products.theta.values()] if theta else []
    return torch.cat(columns, dim=1)


def gauss_newton_factors(
    trajectory: Trajectory, factors: Float[Tensor, " R times *state"], *, by_row: bool = False
) -> GaussNewtonFactors:
    """Adjoints q_i, p_i of factors y_i of the loss's Hessian in the solution, all solved together.

    Source: arXiv:2109.14158, low-rank representation of the second-order matrices.

    Args:
        trajectory: the recorded steps.
        factors: y_i with Φ_YY = Σ_i y_i y_iᵀ; with `by_row`, row b of factor i is a factor of
            sample b by itself, so that there are R · rows factors in R directions.
        by_row: the loss is a sum over rows and the rows of the field are independent.

    Returns:
        The adjoints at the start, and what they gather in the parameters.

    Raises:
        CoupledRows: `by_row` and the rows are coupled.
        ValueError: `by_row` and the state has no rows; see also `Trajectory.segment`.
    """
    if not by_row:
        return GaussNewtonFactors(*vjp(trajectory, factors))
    return GaussNewtonFactors(*adjoint_by_row(trajectory, factors))


def squared_error_factors(
    solution: Float[Tensor, "times rows d"], scale: float = 1.0
) -> Float[Tensor, "d times rows d"]:
    """Factors, row by row, of the squared error scale/2 Σ_rows |y_row(last time) - target|².

    Args:
        solution: the solution at the observation times.
        scale: of the loss, ≥ 0.

    Returns:
        One factor for each entry of a row, zero but at the last time.
    """
    times, rows, d = solution.shape
    factors = solution.new_zeros(d, times, rows, d)
    for j in range(d):
        factors[j, -1, :, j] = scale**0.5
    return factors


def softmax_cross_entropy_factors(
    solution: Float[Tensor, "times rows classes"], scale: float = 1.0
) -> Float[Tensor, "classes times rows classes"]:
    """Factors, row by row, of scale Σ_rows cross-entropy of the logits y_row(last time).

    By diag(p) - p pᵀ = Σ_c p_c (e_c - p)(e_c - p)ᵀ for probabilities p, whatever the label.

    Args:
        solution: the solution at the observation times.
        scale: of the loss, ≥ 0.

    Returns:
        One factor for each class, zero but at the last time.
    """
    times, rows, d = solution.shape
    p = solution[-1].softmax(-1)
    factors = solution.new_zeros(d, times, rows, d)
    centred = torch.eye(d, dtype=p.dtype, device=p.device)[:, None, :] - p
    factors[:, -1] = scale**0.5 * p.T.sqrt().unsqueeze(-1) * centred
    return factors
