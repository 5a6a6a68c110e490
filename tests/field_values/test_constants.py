"""A parameter that falls out, or is never used, is told from one that is cut off, or read once and kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck.field_values import constants


class Turned(nn.Module):
    """The gradient of an energy, whose last bias falls out of it."""

    def __init__(self, more=lambda self: 0.0):
        super().__init__()
        self.inner, self.outer, self.more = nn.Linear(2, 4).double(), nn.Linear(4, 1).double(), more

    def forward(self, t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.requires_grad_()
            (slope,) = torch.autograd.grad(self.energy(y).sum(), y, create_graph=True)
        return slope + self.more(self)

    def energy(self, y):
        return self.outer(torch.tanh(self.inner(y)))


class WithoutBias(Turned):
    def energy(self, y):
        return torch.tanh(self.inner(y)) @ self.outer.weight.T


class Kept(WithoutBias):
    """Its bias was read once."""

    kept = None

    def energy(self, y):
        if Kept.kept is None:
            Kept.kept = self.outer.bias.detach().clone()
        return super().energy(y) + (Kept.kept * y).sum()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (Turned(), ("outer.bias",)),
        (Turned(lambda self: self.outer.bias.detach()), ()),
        (Turned(lambda self: self.outer.bias), ()),
        (WithoutBias(), ("outer.bias",)),
        (Kept(), ()),
    ],
)
def test_which_parameters_fall_out(module, names):
    t, y = torch.tensor(0.3, dtype=torch.float64), torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    module(t, y.clone())
    before = [p.detach().clone() for p in module.parameters()]
    assert constants(module, t, y) == names
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


class Scaled(nn.Module):
    """A rate with a number in it, beside a single parameter that is not used."""

    def __init__(self, number, alone=0.7):
        super().__init__()
        self.net, self.alone = nn.Linear(2, 2).double(), nn.Parameter(torch.tensor(alone, dtype=torch.float64))
        self.number = number(self.alone) if callable(number) else number

    def forward(self, t, y):
        return torch.tanh(self.net(y)) * self.number


class WithLiterals(Scaled):
    def __init__(self, alone=0.7):
        super().__init__(1.0, alone)
        self.eps = 1e-8

    def forward(self, t, y):
        return torch.where(y > float("-inf"), super().forward(t, y) / (y.abs() + self.eps), 0.25 * y)


class OfItsDevice(Scaled):
    """Asked for its device alone, it is not used; what stands in its place was kept of it."""

    def forward(self, t, y):
        return super().forward(t, y.to(self.alone.device))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (WithLiterals(), ("alone",)),
        (WithLiterals(alone=0.25), ()),  # the number in the code may be this one
        (Scaled(0.3), ()),  # from outside: it may have been made of anything
        (Scaled(lambda p: torch.sigmoid(p).item()), ()),
        (OfItsDevice(lambda p: p.detach().clone()), ()),
        (OfItsDevice(1.0), ("alone",)),
    ],
)
def test_a_number_may_stand_for_a_single_parameter_unless_it_is_written_in_the_code(module, names):
    t, y = torch.tensor(0.3, dtype=torch.float64), torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    assert constants(module, t, y) == names
