"""The torch losses against those of the reference: value, gradient and second derivative."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference.losses import LogCosh
from torch.func import hessian, jacrev

from odecheck.fields.losses import torch_loss, torch_running
from tests.reference.test_losses import SHAPE, all_blocks, each_cost, each_loss, mismatch


@each_loss
def test_losses_agree_to_second_order(loss):
    y = np.random.default_rng(5).normal(size=SHAPE)
    function, at = torch_loss(loss), torch.tensor(y)
    assert abs(function(at).item() - loss.value(y)) <= 1e-13 * abs(loss.value(y))
    assert mismatch(jacrev(function)(at).numpy(), loss.gradient(y)) <= 1e-13
    assert mismatch(hessian(function)(at).numpy(), all_blocks(loss.hessian(y))) <= 1e-13
    assert abs(1.0001 * function(at).item() - loss.value(y)) > 1e-13 * abs(loss.value(y))


def test_log_cosh_is_smooth_where_the_residual_changes_sign():
    loss = LogCosh(np.ones(SHAPE), np.zeros(SHAPE))
    zero = torch.zeros(SHAPE, dtype=torch.float64)
    assert not jacrev(torch_loss(loss))(zero).any()
    assert mismatch(hessian(torch_loss(loss))(zero).numpy(), all_blocks(loss.hessian(zero.numpy()))) <= 1e-15


@each_cost
def test_running_costs_agree_to_second_order(cost):
    z = np.random.default_rng(6).normal(size=6)
    running = torch_running(cost)

    def joint(z):
        return running(z[0], z[None, 1:3], z[3:])[0]

    value, first, second = cost.jet(z[0], z[None, 1:3], z[3:], 2)
    assert abs(joint(torch.tensor(z)).item() - value[0]) <= 1e-14 * abs(value[0])
    assert mismatch(jacrev(joint)(torch.tensor(z)).numpy(), first[0]) <= 1e-14
    assert mismatch(hessian(joint)(torch.tensor(z)).numpy(), second[0]) <= 1e-14


@pytest.mark.parametrize("form", [torch_loss, torch_running])
def test_an_unknown_loss_says_how_to_register_one(form):
    with pytest.raises(TypeError, match=f"{form.__name__}.register"):
        form("mine")
