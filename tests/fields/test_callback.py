"""A torch module in the place of a numpy field: its sizes, its copies, its states of several axes, and its jet."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.autograd import forward_ad

from odecheck.fields.callback import (
    CallbackField,
    Flattened,
    ModuleFactory,
    StandIn,
    flat_parameters,
    own_name,
    trainable,
)


class Bent(nn.Module):
    """y' = w y², for states of any shape, with a parameter that is not to be trained."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([2.0, -3.0], dtype=torch.float64))
        self.frozen = nn.Parameter(torch.zeros(5), requires_grad=False)

    def forward(self, t, y):
        return t * self.w * y * y


def test_parameters_are_those_that_are_to_be_trained():
    assert list(trainable(Bent())) == ["w"]
    assert flat_parameters(Bent()).tolist() == [2.0, -3.0]
    assert flat_parameters(nn.Identity()).shape == (0,)


def test_a_factory_makes_copies_with_parameters_of_their_own():
    module = Bent()
    factory, theta = ModuleFactory(Flattened(module, (1, 2))), torch.tensor([5.0, 7.0], dtype=torch.float64)
    made = factory(theta)
    assert factory.__name__ == "Bent"
    assert flat_parameters(made).tolist() == [5.0, 7.0] and flat_parameters(module).tolist() == [2.0, -3.0]
    theta.zero_()
    assert flat_parameters(made).tolist() == [5.0, 7.0]


def test_a_state_of_several_axes_is_seen_flat():
    field = CallbackField(Bent(), (3, 2))
    assert (field.state, field.params, field.parts) == (6, 2, {"y": slice(0, 6)})
    flat = Flattened(Bent(), (3, 2))
    y = torch.arange(12.0, dtype=torch.float64).reshape(2, 6)
    t = torch.tensor(1.0)
    assert torch.equal(flat(t, y), Bent()(t, y.reshape(2, 3, 2)).reshape(2, 6))


def test_another_shape_than_the_states_is_left_alone_by_flattening():
    summed = Flattened(_Summed(), (3, 2))(torch.tensor(0.0), torch.ones(2, 6))
    assert summed.shape == (2, 3)


class _Summed(nn.Module):
    def forward(self, t, y):
        return y.sum(-1)


def test_the_jet_is_that_of_the_formula():
    """F_i = t w_i y_i² of one row: every derivative is known."""
    y, w, t = np.array([[0.5, -1.5]]), np.array([2.0, -3.0]), 0.7
    jet = CallbackField(Bent(), (2,)).jet(t, y, w, 2)
    first, second = np.zeros((1, 2, 5)), np.zeros((1, 2, 5, 5))
    for i in range(2):
        yi, wi, a, b = y[0, i], w[i], 1 + i, 3 + i
        first[0, i, [0, a, b]] = wi * yi**2, 2 * t * wi * yi, t * yi**2
        for p, q, value in ((0, a, 2 * wi * yi), (0, b, yi**2), (a, b, 2 * t * yi)):
            second[0, i, p, q] = second[0, i, q, p] = value
        second[0, i, a, a] = 2 * t * wi
    np.testing.assert_allclose(jet.value, t * w * y**2, rtol=1e-15)
    np.testing.assert_allclose(jet.first, first, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(jet.second, second, rtol=1e-15, atol=1e-15)
    assert CallbackField(Bent(), (2,)).jet(t, y, w, 0).first is None


def test_tangents_pass_where_no_graph_is_made():
    """Second derivatives ask for them so: of a field that cuts them off they are wrong, and its solver is blamed."""
    module, t = Flattened(Bent(), (1, 2)), torch.tensor(0.5, dtype=torch.float64)
    y, dy = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    with torch.no_grad():
        _, by_transform = torch.func.jvp(lambda y: module(t, y), (y,), (dy,))
        with forward_ad.dual_level():
            by_duals = forward_ad.unpack_dual(module(t, forward_ad.make_dual(y, dy))).tangent
    assert by_transform.tolist() == [[2.0, 6.0]]
    assert by_duals.tolist() == [[2.0, 6.0]]


def test_a_parameter_is_called_what_the_user_calls_it():
    plain = nn.Linear(2, 2)
    assert own_name(plain, "inner.weight") == "inner.weight"
    assert own_name(Flattened(plain, (2,)), "inner.weight") == "weight"
    twice = Flattened(StandIn(), (2,))
    twice.inner.inner = plain
    assert own_name(twice, "inner.inner.weight") == "weight"
    assert own_name(twice, "inner.scale") == "scale"
