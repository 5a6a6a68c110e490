"""Whatever people call a field is one module on rows, and its copy has parameters of its own."""

from __future__ import annotations

import copy
import functools
import types

import pytest
import torch
from torch import nn

from odecheck.fields.callback import own_name
from odecheck.fields.shaped import AllRows, as_module


def test_a_function_has_the_parameters_that_it_reaches_and_its_copy_others():
    net, scale = nn.Linear(2, 2), nn.Parameter(torch.ones(()))

    def field(t, y, shift):
        return scale * net(y) + shift

    module = as_module(functools.partial(field, shift=1.0))
    assert {id(p) for p in module.parameters()} == {id(p) for p in (*net.parameters(), scale)}
    twin = copy.deepcopy(module)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    y = torch.ones(1, 2)
    assert torch.equal(twin(None, y), y)
    assert torch.equal(module(None, y), field(None, y, 1.0)) and bool(net.weight.any())


NET, HELD = nn.Linear(2, 2), types.SimpleNamespace(net=nn.Linear(2, 2))


class Model:
    """No module itself, and holds one."""

    def __init__(self) -> None:
        self.net = nn.Linear(2, 2)

    def rate(self, t, y):
        return self.net(y)


def test_parameters_are_called_by_the_variables_that_lead_to_them():
    inside, model = nn.Linear(2, 2), Model()

    def of_an_argument(t, y, field):
        return field(y)

    for field, name in (
        (lambda t, y: inside(y), "inside"),
        (lambda t, y: NET(y), "NET"),
        (lambda t, y: HELD.net(y), "HELD.net"),
        (lambda t, y: model.rate(t, y), "model.net"),
        (model.rate, "self.net"),
        (functools.partial(of_an_argument, field=inside), "field"),
        (functools.partial(of_an_argument, field=model.net), "field"),
    ):
        module = as_module(field)
        assert [own_name(module, p) for p, _ in module.named_parameters()] == [f"{name}.weight", f"{name}.bias"]


def test_a_function_whose_variable_has_no_value_yet_is_copied():
    def made():
        def field(t, y):
            return net(y) if y is not None else later  # noqa: F821  the variable is deleted below

        later = 1.0
        net = nn.Linear(2, 2)
        del later
        return field

    twin = copy.deepcopy(as_module(made()))
    assert twin(None, torch.ones(1, 2)).shape == (1, 2) and len(list(twin.parameters())) == 2


def test_of_a_compiled_module_what_it_compiles_is_taken():
    inner = nn.Linear(2, 2)
    assert as_module(torch.compile(inner, backend="eager")) is inner
    with pytest.raises(TypeError, match="cannot be called"):
        as_module(3)


class Controlled(nn.Module):
    """Each row has a control of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.controls = torch.randn(3, 2)

    def forward(self, t, y):
        return y * self.controls


def test_a_batch_as_one_row_may_come_several_times():
    field, y = Controlled(), torch.randn(2, 6)
    each = [field(None, row.reshape(3, 2)).reshape(1, -1) for row in y]
    assert torch.equal(AllRows(field, (3, 2))(torch.zeros(()), y), torch.cat(each))
