"""Scalar coefficients of a field: numbers, parameters and functions of time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from odecheck.fields import (
    HBNODE,
    AdamNODE,
    FieldError,
    Fixed,
    Free,
    Learnt,
    OfTime,
)
from odecheck.fields.coefficients import coefficient
from tests.fields.models import inner


def test_a_number_keeps_its_digits_in_float64():
    assert HBNODE(inner(), 0.1).double().gamma(torch.zeros((), dtype=torch.float64)).item() == 0.1


def test_published_starting_values():
    zero = torch.tensor(0.0)
    adam, heavy = AdamNODE(inner()), HBNODE(inner())
    sigmoid = [c(zero).item() for c in (adam.alpha1, adam.alpha2, heavy.gamma)]
    assert sigmoid == pytest.approx([1 / (1 + np.exp(5)), 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(3))], rel=1e-6)


def test_values_are_those_of_the_formulas():
    t = torch.tensor(0.5)
    net = nn.Linear(1, 1)
    assert Fixed(0.25)(t).item() == 0.25 and not list(Fixed(0.25).parameters())
    assert Free(0.75)(t).item() == 0.75
    assert Learnt(1.0, scale=2.0)(t).item() == pytest.approx(2 / (1 + np.exp(-1.0)), rel=1e-6)
    raw = net.weight.item() * 0.5 + net.bias.item()
    assert OfTime(net, nn.Tanh(), 3.0)(t).item() == pytest.approx(3 * np.tanh(raw), rel=1e-6)
    assert OfTime(net)(t.expand(4, 1)).shape == (4, 1)


def test_a_number_becomes_a_module_and_a_function_stays_what_it_is():
    assert isinstance(coefficient(2), Fixed)
    assert coefficient(torch.sin) is torch.sin


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: Learnt(0.0, scale=-1.0), "scale is -1.0.*give scale > 0"),
        (lambda: OfTime(nn.Linear(1, 1), scale=0.0), "give scale > 0"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    with pytest.raises(FieldError, match=says):
        act()
