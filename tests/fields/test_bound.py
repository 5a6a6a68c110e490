"""A field with tensors of one solve: they stay what they were, get no gradient, and are not saved."""

from __future__ import annotations

import torch
from torch import nn

from odecheck.fields.bound import Bound


class Driven(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.heard = []

    def forward(self, t, y, force, offset):
        return self.gain * y + force * t + offset

    def callback_accept_step(self, t, y, dt):
        self.heard.append(float(t))


def test_the_tensors_come_after_time_and_state_in_their_order():
    field = Bound(Driven(), torch.tensor(3.0), torch.tensor(10.0))
    assert field(torch.tensor(0.5), torch.tensor(1.0)).item() == 2 + 1.5 + 10


def test_two_solves_of_one_module_keep_tensors_of_their_own():
    inner, zero = Driven(), torch.tensor(0.0)
    first, second = Bound(inner, zero, torch.tensor(1.0)), Bound(inner, zero, torch.tensor(-1.0))
    assert [f(zero, zero).item() for f in (first, second, first)] == [1, -1, 1]


def test_no_gradient_flows_into_them_and_the_parameters_keep_theirs():
    force = torch.tensor(3.0, requires_grad=True)
    field = Bound(Driven(), force, torch.tensor(0.0))
    field(torch.tensor(1.0), torch.tensor(4.0)).backward()
    assert force.grad is None and field.field.gain.grad.item() == 4
    assert set(field.state_dict()) == {"field.gain"}


def test_callbacks_of_the_field_are_called():
    inner = Driven()
    field = Bound(inner, torch.tensor(0.0), torch.tensor(0.0))
    field.callback_accept_step(torch.tensor(0.25), torch.tensor(1.0), torch.tensor(0.1))
    assert inner.heard == [0.25]
    assert not hasattr(field, "callback_step")
