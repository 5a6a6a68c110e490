"""What a plain function reaches is found, copied and replaced; what is the user's own stays as it is."""

from __future__ import annotations

import copy
import functools
import types

import pytest
import torch
from torch import nn

from odecheck import Verdict, check, module_pairs
from odecheck.fields.shaped import as_module

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


def _of_objects():
    nested = types.SimpleNamespace(inner=types.SimpleNamespace(layers={"w": [W], "b": B}))
    return lambda t, y: torch.tanh(y @ nested.inner.layers["w"][0] + nested.inner.layers["b"])


WAYS = (
    _of_globals,
    _of_a_dictionary,
    _of_defaults,
    _that_calls_itself,
    functools.partial(_of_arguments, w=W, b=B),
    lambda t, y: _of_arguments(t, y, *OF_A_FILE.values()),
    Weights().rate,
    _of_objects(),
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


def _beside(held, scale):
    """A field that is driven by a tensor of no gradient, and that tensor."""
    return (lambda t, y: torch.tanh(y @ W + B) * scale(held)), scale(held)


ONES = torch.ones(2)
BESIDE = (
    _beside(types.SimpleNamespace(scale=ONES), lambda held: held.scale),
    _beside(types.SimpleNamespace(inner=types.SimpleNamespace(scale=ONES)), lambda held: held.inner.scale),
    _beside([ONES], lambda held: held[0]),
    _beside({"scale": (ONES,)}, lambda held: held["scale"][0]),
)


@pytest.mark.parametrize(("field", "own"), BESIDE)
def test_tensors_beside_parameters_stay_as_they_are_wherever_they_stand(field, own):
    (_, problem), *_ = module_pairs(field, torch.ones(2, 2))
    assert problem.field.params == 6
    assert own is ONES and own.dtype == W.dtype == torch.float32
    assert field(None, torch.ones(2, 2)).dtype == torch.float32, "the user's own field is in float32 still"
