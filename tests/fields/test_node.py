"""Plain and augmented models, and the inner networks of the state, and of the state and the time."""

from __future__ import annotations

import torch
from torch import nn

from odecheck.fields import (
    ANODE,
    NODE,
    Autonomous,
    WithTime,
)
from odecheck.fields.node import GradientFlow, stack
from tests.fields.models import D


def test_a_network_of_the_state_alone():
    net = nn.Linear(D, D)
    h = torch.randn(4, D)
    assert torch.equal(NODE(Autonomous(net))(torch.tensor(5.0), h), net(h))


def test_time_is_the_last_feature():
    net = nn.Linear(D + 1, D)
    h, t = torch.randn(4, D), torch.tensor(0.25)
    expected = h @ net.weight[:, :D].T + 0.25 * net.weight[:, D] + net.bias
    torch.testing.assert_close(NODE(WithTime(net))(t, h), expected)


def test_an_augmented_state_starts_with_zeros_and_flows_as_a_whole():
    field, h = ANODE(lambda t, y: 2 * y, extra=2), torch.randn(4, D)
    y = field.start(h)
    assert torch.equal(y, torch.cat([h, torch.zeros(4, 2)], 1))
    assert torch.equal(field(torch.tensor(0.0), y + 1), 2 * (y + 1))


def test_a_stack_has_activations_between_its_layers():
    kinds = [type(one) for one in stack((2, 5, 5, 1), nn.Tanh())]
    assert kinds == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]


def test_a_gradient_flow_goes_down_its_potential():
    """f = −∇V with V(h) = Σ log cosh(W h + b)."""
    field, h = GradientFlow(2, 4).double(), torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(field.linear(h).cosh().log().sum(), h)
    torch.testing.assert_close(field(torch.tensor(0.0), h), -slope)
