"""Hessians and Gauss-Newton factors of recorded steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import (
    CoupledRows,
    Trajectory,
    copies,
    gauss_newton_factors,
    hessian,
    hessian_theta,
    hessian_y0,
    jvp,
    record,
    softmax_cross_entropy_factors,
    squared_error_factors,
)
from tests.discrete.test_oracle import ROUND_OFF, Net, draw, everywhere, gap, times, unrolled


def made(method: str = "dopri5", batch: int = 3, **how: object) -> Trajectory:
    options = {} if method in ("dopri5", "adaptive_heun") else {"step_size": 0.2}
    return record(
        Net(), draw(batch, 2), times(0.0, 0.4, 1.0), method=method, rtol=1e-3, atol=1e-3, options=options, **how
    )  # type: ignore[arg-type]


def expected_hessian(trajectory: Trajectory) -> Tensor:
    inputs = [trajectory.solution[0].clone().requires_grad_(), *trajectory.parameters.values()]
    slopes = torch.autograd.grad(everywhere(unrolled(trajectory, inputs[0])), inputs, create_graph=True)
    flat = torch.cat([slope.flatten() for slope in slopes])
    rows = [torch.autograd.grad(x, inputs, retain_graph=True) for x in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def jacobian(trajectory: Trajectory) -> Tensor:
    """∂ solution / ∂ (y0, theta), (outputs, inputs), by automatic differentiation."""
    inputs = [trajectory.solution[0].clone().requires_grad_(), *trajectory.parameters.values()]
    outputs = unrolled(trajectory, inputs[0]).flatten()
    grads = [torch.autograd.grad(x, inputs, retain_graph=True, materialize_grads=True) for x in outputs]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in grads])


@pytest.mark.parametrize(
    ("method", "route", "checkpoint"),
    [
        ("dopri5", "blocks", False),
        ("dopri5", "sweep", False),
        ("midpoint", "blocks", True),
        ("adaptive_heun", "blocks", False),
        ("adaptive_heun", "sweep", False),
    ],
)
def test_hessians_are_those_of_the_steps_and_symmetric(method: str, route: str, checkpoint: bool) -> None:
    trajectory = made(method, route=route, checkpoint=checkpoint)
    expected, size = expected_hessian(trajectory), trajectory.state_shape.numel()
    found = hessian(trajectory, everywhere)
    assert gap([found], [expected]) < ROUND_OFF
    assert gap([found], [found.T]) < ROUND_OFF
    assert gap([hessian_y0(trajectory, everywhere)], [expected[:size, :size]]) < ROUND_OFF
    assert gap([hessian_theta(trajectory, everywhere)], [expected[size:, size:]]) < ROUND_OFF


def test_the_hessian_where_parameters_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = made(batch=1)
    expected = hessian(trajectory, everywhere)

    def refuse(*_: object) -> Tensor:
        raise KeyError

    monkeypatch.setattr(copies, "_parameter_jacobian", refuse)
    assert gap([hessian(trajectory, everywhere)], [expected]) < ROUND_OFF


@pytest.mark.parametrize("method", ["dopri5", "rk4", "adaptive_heun"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_factors_give_the_gauss_newton_matrix(method: str, checkpoint: bool) -> None:
    trajectory = made(method, checkpoint=checkpoint)
    factors = draw(5, *trajectory.solution.shape)
    q, p = (found := gauss_newton_factors(trajectory, factors)).y0, found.theta
    rows = torch.cat([q.flatten(1), *(part.flatten(1) for part in p.values())], dim=1)
    x = jacobian(trajectory)
    phi = factors.flatten(1).T @ factors.flatten(1)
    assert gap([rows.T @ rows], [x.T @ phi @ x]) < ROUND_OFF


def cross_entropy(outputs: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs[-1], torch.tensor([0, 1, 1]), reduction="sum")


def squares(outputs: Tensor) -> Tensor:
    return 0.5 * ((outputs[-1] - 0.3) ** 2).sum()


@pytest.mark.parametrize(
    ("loss", "factors_of"), [(squares, squared_error_factors), (cross_entropy, softmax_cross_entropy_factors)]
)
@pytest.mark.parametrize("checkpoint", [False, True])
def test_factors_of_every_sample(
    loss: Callable[[Tensor], Tensor], factors_of: Callable[..., Tensor], checkpoint: bool
) -> None:
    trajectory = made(checkpoint=checkpoint)
    found = gauss_newton_factors(trajectory, factors_of(trajectory.solution), by_row=True)
    theta = torch.cat([part.flatten(2) for part in found.theta.values()], dim=2)
    x, size = jacobian(trajectory), trajectory.state_shape.numel()
    phi = torch.autograd.functional.hessian(loss, trajectory.solution).reshape(len(x), len(x))
    expected = x.T @ phi @ x
    assert gap([torch.einsum("rbi,rbj->ij", theta, theta)], [expected[size:, size:]]) < ROUND_OFF
    for row in range(3):
        block = found.y0[:, row].T @ found.y0[:, row]
        assert gap([block], [expected[2 * row : 2 * row + 2, 2 * row : 2 * row + 2]]) < ROUND_OFF
        cross = found.y0[:, row].T @ theta[:, row]
        assert gap([cross], [expected[2 * row : 2 * row + 2, size:]]) < ROUND_OFF


def test_scale_multiplies_the_matrix_not_the_factor() -> None:
    solution = made().solution
    for factors_of in (squared_error_factors, softmax_cross_entropy_factors):
        assert gap([factors_of(solution, 4.0)], [2 * factors_of(solution)]) < ROUND_OFF


def test_factors_of_every_sample_where_rows_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = made()
    factors = squared_error_factors(trajectory.solution)
    expected = gauss_newton_factors(trajectory, factors, by_row=True)
    monkeypatch.setattr(copies, "_own_copies", lambda *_: None)
    found = gauss_newton_factors(trajectory, factors, by_row=True)
    assert gap([found.y0, *found.theta.values()], [expected.y0, *expected.theta.values()]) < ROUND_OFF


def test_coupled_rows_have_no_factors_of_every_sample() -> None:
    trajectory = record(lambda t, y: torch.sin(y - y.mean(0)), draw(3, 2), times(0.0, 1.0), method="rk4")
    with pytest.raises(CoupledRows):
        gauss_newton_factors(trajectory, squared_error_factors(trajectory.solution), by_row=True)


def test_gauss_newton_is_not_the_hessian() -> None:
    """A field that bends, and a loss whose slope is not zero: dropping a·F_xx must show."""
    trajectory = made()
    tangents = jvp(trajectory, y0=torch.eye(6, dtype=torch.float64).view(6, 3, 2))[:, -1].flatten(1)
    assert gap([tangents @ tangents.T], [hessian_y0(trajectory, squares)]) > 1e-2
