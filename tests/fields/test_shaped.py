"""Whatever people call a field is one module on rows, and its copy has parameters of its own."""

from __future__ import annotations

import copy
import functools
import types

import pytest
import torch
from torch import nn

from odecheck import Verdict, check, module_pairs
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


W, B = nn.Parameter(torch.tensor([[0.3, -0.2], [0.1, 0.5]])), nn.Parameter(torch.tensor([0.1, -0.4]))
OF_A_FILE = {"w": W, "b": B}


class Weights:
    """No module; its parameters are in a list."""

    def __init__(self) -> None:
        self.all = [W, B]

    def rate(self, t, y):
        return torch.tanh(y @ self.all[0] + self.all[1])


def _of_globals(t, y):
    return torch.tanh(y @ W + B)


def _of_a_dictionary(t, y):
    return torch.tanh(y @ OF_A_FILE["w"] + OF_A_FILE["b"])


def _of_defaults(t, y, w=W, *, b=B):
    return torch.tanh(y @ w + b)


def _further(y, n):
    return torch.tanh(y @ W + B) if n == 0 else _further(y, n - 1)


def _that_calls_itself(t, y):
    return _further(y, 2)


def _of_arguments(t, y, w, b):
    return torch.tanh(y @ w + b)


def _of_closures():
    w, listed, pair = W, [W, {"b": B}], (W, B)
    return (
        lambda t, y: torch.tanh(y @ w + B),
        lambda t, y: torch.tanh(y @ listed[0] + listed[1]["b"]),
        lambda t, y: torch.tanh(y @ pair[0] + pair[1]),
    )


WAYS = (
    _of_globals,
    _of_a_dictionary,
    _of_defaults,
    _that_calls_itself,
    functools.partial(_of_arguments, w=W, b=B),
    lambda t, y: _of_arguments(t, y, *OF_A_FILE.values()),
    Weights().rate,
    *_of_closures(),
)


@pytest.mark.parametrize("field", WAYS)
def test_parameters_of_no_module_are_found_copied_and_replaced_wherever_they_stand(field):
    before = W.dtype, W.detach().clone(), B.detach().clone()
    module = as_module(field)
    assert {id(p) for p in module.parameters()} == {id(W), id(B)}
    twin = copy.deepcopy(module).double()
    assert not {id(p) for p in twin.parameters()} & {id(W), id(B)}
    y = torch.ones(3, 2, dtype=torch.float64)
    true = torch.tanh(y @ W.double() + B.double())
    for asked in (twin, copy.deepcopy(twin)):
        assert torch.equal(asked(None, y), true)
        new = {name: torch.full_like(p, 0.25, requires_grad=True) for name, p in asked.named_parameters()}
        value = torch.func.functional_call(asked, new, (None, y))
        assert torch.equal(value, torch.tanh(y @ torch.full_like(W.double(), 0.25) + 0.25))
        got = torch.autograd.grad(value.sum(), list(new.values()))
        assert all(bool(g.any()) for g in got), "the gradient reaches what stands in their place"
        assert torch.equal(asked(None, y), true), "and afterwards they are back"
    assert W.dtype == before[0] and torch.equal(W, before[1]) and torch.equal(B, before[2])


@pytest.mark.parametrize("field", [_of_globals, _of_closures()[2]])
def test_a_function_of_parameters_of_no_module_is_verified(field):
    records = check(module_pairs(field, torch.tensor([[0.5, -1.0]])), claims=["NODE-1", "NODE-2"])
    assert [r.verdict for r in records] == [Verdict.HOLDS] * 4, records


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
