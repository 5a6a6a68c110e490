"""Derivatives in the last time, against differentiation of the closed solve and differences."""

import pytest
import torch

from odecheck import second_order
from tests.second_order.problems import TIMES, TOLERANCE, close, setup

pytestmark = pytest.mark.usefixtures("in_float64")


@pytest.mark.parametrize("with_cost", [False, True])
def test_horizon(with_cost: bool) -> None:
    field, x, loss, cost, total, z = setup((3, 2), with_cost)
    of_end = lambda end, z: total(z, torch.cat([TIMES[:-1], end[None]]))  # noqa: E731
    observed = second_order.horizon_derivatives(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    end, d = TIMES[-1], x.numel()
    slope = torch.func.grad(of_end)
    mixed = torch.cat([g.flatten() for g in observed.Ttheta])
    assert close(observed.T, slope(end, z))
    assert close(observed.TT, torch.func.grad(slope)(end, z))
    assert close(mixed, torch.func.grad(slope, 1)(end, z)[d:])
    assert close(torch.cat([g.flatten() for g in observed.gradient]), torch.func.grad(of_end, 1)(end, z)[d:])
    assert not close(observed.TT_gauss_newton, observed.TT, 0.1)
    step = 1e-4
    difference = (of_end(end + step, z) - 2 * of_end(end, z) + of_end(end - step, z)) / step**2
    assert close(observed.TT, difference, 1e-4)


def test_a_tuple_of_states_is_refused() -> None:
    field, x, loss, _, _, _ = setup((2,), False)
    with pytest.raises(TypeError, match="concatenate the states"):
        second_order.horizon_derivatives(field, (x,), TIMES, loss)
