"""A module along a line in (t, y, theta): values and derivatives against a formula."""

import numpy as np
import pytest
import torch
from torch import nn

from odecheck.field_values.line import Asked, NoBackward, Point
from tests.field_values.field_kinds import Formula

# f = a t y² with a = 2: in the direction (1, 1, 1), g(h) = (a + h) (t + h) (y + h)²
FIELD = Formula(lambda s, t, y: s.a * t * y**2, a=2.0)
AT = Point(3.0, torch.tensor([[5.0]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64))
ALONG = Point(1.0, torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
FIRST, SECOND = 25.0 * (3 + 2) + 2 * 6.0 * 5, 2 * 25.0 + 2 * 2 * 5.0 * (3 + 2) + 2 * 6.0
W = np.array([0.5])


def test_values_and_steps():
    asked = Asked(FIELD)
    assert asked.value(AT).tolist() == [150.0]
    assert asked.along(AT, ALONG, 1.0).tolist() == [3 * 4 * 36.0]
    assert AT.moved(2.0, ALONG).t == 5.0 and AT.moved(2.0, ALONG).theta.item() == 4.0


def test_both_modes_give_the_derivative_and_reverse_mode_twice_the_second():
    asked = Asked(FIELD)
    assert asked.forward_mode(AT, ALONG) == pytest.approx([FIRST])
    pulled = asked.reverse_mode(AT, ALONG, W, twice=True)
    assert (pulled.first, pulled.second) == (pytest.approx(0.5 * FIRST), pytest.approx(0.5 * SECOND))
    assert pulled.untouched == () and 0 < pulled.loss < 1e-10


def test_the_module_itself_is_not_moved_and_can_be_had_back():
    asked = Asked(FIELD)
    asked.value(AT.moved(1.0, ALONG))
    assert float(FIELD.a) == 2.0 and float(asked.restored().a) == 2.0


def test_a_field_without_a_graph_and_one_that_fails_backwards():
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, *grads):
            raise RuntimeError("not today")

    still = Asked(Formula(lambda s, t, y: torch.ones_like(y), a=1.0))
    assert still.reverse_mode(AT, ALONG, W).untouched == ("a",)
    with pytest.raises(NoBackward, match="not today"):
        Asked(Formula(lambda s, t, y: Failing.apply(s.a * y), a=1.0)).reverse_mode(AT, ALONG, W)


def test_scales_are_a_parameters_own_size_and_a_tenth_of_its_tensors():
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[3.0, 0.0]]))
    typical = 3.0 / 2**0.5
    assert Asked(module).scales().tolist() == pytest.approx([3.0 + 0.1 * typical, 0.1 * typical])
