"""Second-order models: the velocity is the rate of the position, and the network sees one or both."""

from __future__ import annotations

import pytest
import torch

from odecheck.fields import SONODE, FieldError


@pytest.mark.parametrize("velocity", [True, False])
def test_the_velocity_is_the_rate_of_the_position(velocity):
    """x'' = −4 x with, or without, a friction that only a network that sees the velocity can have."""

    def acceleration(t, y):
        return -4 * y[:, :1] - 0.5 * y[:, 1:] if velocity else -4 * y

    field = SONODE(acceleration, velocity=velocity)
    rate = field(torch.tensor(0.0), torch.tensor([[0.25, -3.0]]))
    assert rate.tolist() == [[-3.0, -1.0 + (1.5 if velocity else 0.0)]]


def test_it_starts_at_rest_unless_a_velocity_is_given():
    field, x = SONODE(lambda t, y: y[:, :1]), torch.tensor([[2.0]])
    assert field.start(x).tolist() == [[2.0, 0.0]]
    assert field.start(x, v=torch.tensor([[0.5]])).tolist() == [[2.0, 0.5]]


def test_a_network_that_returns_the_whole_state_is_refused():
    with pytest.raises(FieldError, match=r"turned \(1, 2\) into \(1, 2\), but f\(t, h\) has to be \(1, 1\)"):
        SONODE(lambda t, y: y)(torch.tensor(0.0), torch.ones(1, 2))
