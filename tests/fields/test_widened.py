"""What a module holds beside its parameters is in float64 in its copy, wherever it is; the user's own is left alone."""

from __future__ import annotations

import functools
from collections import namedtuple

import pytest
import torch
from torch import nn

from odecheck import module_pairs
from odecheck.fields.shaped import as_module, copied
from odecheck.fields.widened import widened

WEIGHT = torch.tensor([0.1, 0.7])
Held = namedtuple("Held", ["weight", "other"])


class Spline:
    """A control, as a plain object."""

    def __init__(self):
        self.knots = {"first": [torch.tensor([0.1, 0.7])]}

    def at(self, t):
        return self.knots["first"][0] * t


class Plain(nn.Module):
    def __init__(self, held=None, call=lambda held, t: held):
        super().__init__()
        self.net, self.held, self.call = nn.Linear(2, 2), held, call

    def forward(self, t, y):
        return self.net(y) * self.call(self.held, t)


def closure():
    inside = torch.tensor([0.1, 0.7])
    return lambda t: inside * t


class Outside(nn.Module):
    """A module that is held in a list, and registered nowhere."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.tensor([0.1, 0.7]))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.control = nn.Linear(2, 2), Spline().at

    def forward(self, t, y):
        return self.net(y) * self.control(t)


FIELDS = {
    "attribute": Plain(torch.tensor([0.1, 0.7])),
    "list": Plain([torch.tensor([0.1, 0.7])], lambda held, t: held[0]),
    "tuple": Plain((torch.tensor([0.1, 0.7]), 2), lambda held, t: held[0]),
    "named tuple": Plain(Held(torch.tensor([0.1, 0.7]), None), lambda held, t: held.weight),
    "dictionary": Plain({"a": {"b": torch.tensor([0.1, 0.7])}}, lambda held, t: held["a"]["b"]),
    "object": Plain(Spline(), lambda held, t: held.at(t)),
    "bound method": Tied(),
    "closure": Plain(closure(), lambda held, t: held(t)),
    "partial": Plain(functools.partial(torch.mul, torch.tensor([0.1, 0.7])), lambda held, t: held(t)),
    "global": Plain(None, lambda held, t: WEIGHT * t),
    "a list of modules": Plain([Outside()], lambda held, t: held[0].weight),
    "sparse": Plain(torch.diag(WEIGHT).to_sparse(), lambda held, t: held @ torch.ones_like(held[0].to_dense())),
    "function": lambda t, y: y * WEIGHT * t,
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_the_field_computes_in_float64(name):
    field = FIELDS[name]
    t, y = torch.tensor(0.3, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    double = widened(copied(as_module(field)).double())
    value = double(t, y)
    assert value.dtype == torch.float64
    assert WEIGHT.dtype == torch.float32
    assert field(t.float(), y.float()).dtype == torch.float32
    assert not torch.equal(value, value.float().double())


def test_what_is_shared_stays_shared_and_graphs_and_integers_are_left():
    both = torch.tensor([0.1, 0.7])
    module = Plain([both, both, torch.tensor([1, 2]), torch.zeros(2, requires_grad=True)])
    held = widened(copied(module).double()).held
    assert held[0] is held[1] and held[0].dtype == torch.float64
    assert held[2].dtype == torch.int64
    assert held[3].requires_grad and held[3].is_leaf
    assert module.held[0] is both and both.dtype == torch.float32


def test_parameters_stay_where_they_are():
    module = nn.LSTMCell(2, 2)
    module.again = [module.weight_ih, module]
    double = copied(module).double()
    assert widened(double) is double
    assert double.again[0] is double.weight_ih and double.again[1] is double
    assert double.weight_ih.is_leaf and isinstance(double.weight_ih, nn.Parameter)


def test_such_a_field_is_verified_and_says_the_dtype():
    (_, problem), *_ = module_pairs(FIELDS["attribute"], [[1.0, 0.5]])
    assert problem.field.module.held.dtype == torch.float64
