"""A model as a layer of a classifier that trains."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import fields as exact
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from odecheck.fields import HBNODE, AdamNODE, FieldError, NODELayer
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.layer import ADJOINT
from odecheck.solvers import Adaptive, FixedStep
from tests.fields.models import D, each_model, inner

TIGHT = Adaptive("dopri5", rtol=1e-10)


@each_model
def test_one_step_of_training_through_the_adjoint(make):
    torch.manual_seed(1)
    field = make(inner, -1, D)
    layer = NODELayer(field, solver=Adaptive("dopri5", rtol=1e-8))
    model = nn.Sequential(nn.Linear(2, D), layer, nn.LazyLinear(2)).double()
    x = torch.randn(32, 2, dtype=torch.float64)
    label = (x.norm(dim=1) > 1.1).long()
    loss = nn.functional.cross_entropy(model(x), label)
    loss.backward()
    slopes = [p.grad for p in model.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) and bool(g.any()) for g in slopes)
    torch.optim.SGD(model.parameters(), lr=0.02).step()
    assert nn.functional.cross_entropy(model(x), label) < loss


def test_a_layer_is_the_solution_of_its_field():
    torch.manual_seed(0)
    field = HBNODE(inner()).double()
    velocity = nn.Linear(D, D).double()
    x = torch.randn(4, D, dtype=torch.float64)
    layer = NODELayer(field, start={"m": velocity}, span=(0.5, 2.0), part="h", solver=TIGHT)
    times = torch.tensor([0.5, 2.0], dtype=torch.float64)
    y = odeint(field, torch.cat([x, velocity(x)], 1), times, rtol=1e-10, atol=1e-12)[-1]
    torch.testing.assert_close(layer(x), y[:, :D], rtol=1e-9, atol=1e-9)
    fixed = NODELayer(field, start={"m": velocity}, span=(0.5, 2.0), solver=FixedStep("rk4", 0.01), odeint=odeint)
    torch.testing.assert_close(fixed(x), y, rtol=1e-7, atol=1e-7)
    assert layer.odeint is ADJOINT and ADJOINT is odeint_adjoint


def test_initial_networks_are_trained():
    torch.manual_seed(0)
    start = {"m": nn.Linear(D, D), "v": nn.Sequential(nn.Linear(D, D), nn.Softplus())}
    layer = NODELayer(AdamNODE(inner()), start=start, part="h")
    layer(torch.randn(4, D)).square().sum().backward()
    assert all(bool(p.grad.any()) for p in layer.parameters())


def test_a_plain_module_is_a_layer_too():
    x = torch.rand(4, 2)
    pendulum = torch_twin(exact.Pendulum())(torch.ones(4))
    assert NODELayer(pendulum)(x).shape == (4, 2)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: NODELayer(HBNODE(inner()), part="v"), r"has the parts \('h', 'm'\)"),
        (lambda: NODELayer(HBNODE(inner()), start={"h": nn.Identity()}), "the first starts at x"),
        (lambda: NODELayer(AdamNODE(inner()), start={"v": lambda: None}), "not a Module"),
        (lambda: NODELayer(nn.Identity(), part="h"), r"has the parts \(\)"),
        (lambda: NODELayer(AdamNODE(inner()), start={"v": nn.Linear(3, 3)})(torch.randn(9, 3)), r"v\(0\) has"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    torch.manual_seed(0)
    with pytest.raises((FieldError, TypeError), match=says):
        act()
