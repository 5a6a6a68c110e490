"""A field that remembers is named by the question that gives it away."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from odecheck.field_values import ask_function, look, refusal, without_influence
from tests.field_values import field_kinds as kinds

STATES = np.array([[1.0, 0.5], [0.3, 0.2]])


def looked(change, **how):
    net = kinds.Net(change=change)
    return look(lambda: copy.deepcopy(net), kinds.TS, np.stack([STATES] * 3), **how)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", kinds.MEMORIES)
def test_a_field_that_remembers_is_named(name, seed):
    change, question = kinds.MEMORIES[name]
    got = looked(change, seed=seed, samples=128)
    assert next(a.question for a in got.answers if a.off) == question
    words = refusal(got)
    assert words is not None
    assert question in words[0]


class Tied(torch.nn.Module):
    """One weight under three names."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 2).double()
        self.again, self.weight = self.net, self.net.weight

    def forward(self, t, y):
        return self.again(torch.tanh(self.net(y))) @ self.weight


def test_a_weight_under_three_names_is_no_memory():
    module = Tied()
    answers = ask_function(lambda: copy.deepcopy(module), kinds.path(module, [[1.0, 0.5]]), (2,), seed=1)
    assert not [a for a in answers if a.off]


@pytest.mark.parametrize("name", kinds.RIGHT)
def test_a_right_field_answers_alike(name):
    make, y0 = kinds.RIGHT[name]
    module = make()
    answers = ask_function(lambda: copy.deepcopy(module), kinds.path(module, y0), (len(y0[0]),), seed=1)
    assert not [a for a in answers if a.off]


def test_a_weight_in_a_global_has_no_influence():
    kinds.SHARED.clear()
    got = looked(kinds.cached_in_a_global, samples=32)
    assert got.without_influence == ("outer.weight",)
    words = refusal(got)
    assert words is not None
    assert "outer.weight" in words[0]


def test_a_module_that_was_called_before_with_a_cached_weight():
    net = kinds.Net(change=kinds.cached_weight)
    net(torch.tensor(0.0), torch.tensor(STATES))
    got = look(lambda: copy.deepcopy(net), kinds.TS, np.stack([STATES] * 3), samples=32)
    assert got.without_influence == ("outer.weight",)


@pytest.mark.parametrize("name", ["large weights", "zero last layer", "hardtanh", "relu", "layer norm", "attention"])
def test_saturated_or_hidden_parameters_have_influence(name):
    make, y0 = kinds.RIGHT[name]
    module = make()
    names = [k for k, _ in module.named_parameters()]
    assert without_influence(module, kinds.path(module, y0), (len(y0[0]),), names) == ()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda s, t, y, v: s.outer(s.hidden(y)) * torch.cos(t.float()).double(), "when t changes"),
        (lambda s, t, y, v: torch.tanh(s.outer(s.hidden(y)).float()).double(), "do not change when"),
        (lambda s, t, y, v: v * torch.cos(t.float()).double(), "is off by"),
    ],
)
def test_float32_inside_is_named(change, seen):
    words = refusal(looked(change, samples=32))
    assert words is not None
    assert seen in words[0]
    assert "float32" in words[1]
