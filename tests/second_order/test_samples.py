"""One sample at a time: flat parameters, blocks of a loss, and what couples samples or times is refused."""

import pytest
import torch

from odecheck import second_order
from odecheck.second_order.samples import Samples, curvature_of_loss
from tests.second_order.problems import TIMES, close, setup

pytestmark = pytest.mark.usefixtures("in_float64")


def test_rates_of_one_sample_are_a_row_of_those_of_all() -> None:
    field, x, _, cost, _, z = setup((3, 2), True)
    samples = Samples(field, x, TIMES, cost, {})
    p, t = samples.problem.inputs, torch.tensor(0.7)
    theta = samples.theta(p)
    assert torch.equal(theta, z[x.numel() :]) and (samples.d, samples.n, samples.batched) == (2, len(theta), True)
    with torch.no_grad():
        rate, price = samples.rates(t, x[1], theta, p)
        assert close(rate, field(t, x)[1], 1e-14) and close(price, cost(t, x[1:2]), 1e-14)
        assert not close(samples.rates(t, x[1], 1.01 * theta, p)[0], rate, 1e-3)


def test_blocks_of_a_loss_are_its_hessian() -> None:
    _, x, loss, _, _, _ = setup((3, 2), False)
    y = torch.stack([x, x.sin(), x.cos()])
    slope, blocks = curvature_of_loss(loss, y, True)
    whole = torch.func.hessian(loss)(y)
    assert close(slope, torch.func.grad(loss)(y), 1e-14)
    for i in range(3):
        for row in range(3):
            assert close(blocks[i, row], whole[i, row, :, i, row], 1e-13)


def test_a_loss_without_curvature_has_blocks_of_zero() -> None:
    slope, blocks = curvature_of_loss(lambda y: 2 * y.sum(), torch.ones(3, 2), False)
    assert blocks.shape == (3, 2, 2) and not blocks.any() and (slope == 2).all()


def test_what_couples_times_or_samples_is_refused() -> None:
    field, x, loss, _, _, _ = setup((3, 2), False)
    with pytest.raises(ValueError, match="couples"):
        second_order.q_blocks(field, x, TIMES, lambda y: y.sum() ** 2)
    coupled = lambda t, y: y - y.mean(0)  # noqa: E731
    with pytest.raises(ValueError, match="depends on the other samples"):
        second_order.q_blocks(coupled, x, TIMES, loss)
    with pytest.raises(ValueError, match="concatenate"):
        second_order.q_blocks(lambda t, y: y, (x,), TIMES, loss)
