"""A field of jax as a torch module: values and derivatives are jax's, and every claim can be asked of it."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest
import torch

from odecheck import Adaptive, Adjoint, BadInput, Subject, module_pairs
from odecheck.claims import ALL
from odecheck.fields import from_jax
from odecheck.fields.from_jax import FromJax
from odecheck.record import evaluate

jax = pytest.importorskip("jax")
equinox = pytest.importorskip("equinox")
CLAIMS = {claim.id: claim for claim in ALL}
STATE = [[1.0, 0.5], [0.0, 1.0]]


class Network(equinox.Module):
    net: equinox.nn.MLP

    def __init__(self):
        self.net = equinox.nn.MLP(3, 2, 4, 1, activation=jax.numpy.tanh, key=jax.random.PRNGKey(0))

    def __call__(self, t, y, args=None):
        return self.net(jax.numpy.append(y, t))


@jax.custom_vjp
def nearly(y):
    return -y


nearly.defvjp(lambda y: (-y, None), lambda _, g: (-1.001 * g,))


def pendulum(t, y, args):
    return jax.numpy.stack([y[1], -args["k"] * jax.numpy.sin(y[0]) + 0 * t])


def verdicts(field, *names: str):
    subject, problem = module_pairs(field, STATE)[0]
    subject = Subject(subject.field, Adaptive("dopri5", rtol=1e-7), Adjoint())
    return [evaluate(CLAIMS[name], subject, problem).verdict for name in names]


def test_derivatives_are_those_of_its_values():
    module = FromJax(pendulum, {"k": np.array(2.0), "count": 3})
    (k,) = module.parameters()
    y = torch.tensor(STATE, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    exact = torch.stack([y[:, 1], -2 * torch.sin(y[:, 0])], 1)
    np.testing.assert_allclose(module(t, y).detach(), exact.detach(), rtol=1e-15)
    assert torch.autograd.gradcheck(lambda t, y, k: module(t, y), (t, y, k))
    assert torch.autograd.gradgradcheck(lambda y: module(t, y), y)
    rows = torch.func.vmap(torch.func.jacrev(lambda row: module(t.detach(), row[None])[0]))(y.detach())
    np.testing.assert_allclose(rows[:, 1, 0].detach(), -2 * np.cos(np.array(STATE)[:, 0]), rtol=1e-14)


def test_an_equinox_module_is_decided_as_it_is():
    assert verdicts(Network(), "NODE-2", "SOL-1.2", "SOL-1.5") == ["holds", "holds", "unsupported"]


def test_a_wrong_backward_pass_is_refuted():
    assert verdicts(FromJax(lambda t, y, _: nearly(y)), "SOL-1.2") == ["refuted"]


def test_a_copy_and_what_is_pickled_are_the_same_field():
    module = FromJax(Network()).double()
    with torch.no_grad():
        next(module.parameters()).mul_(2.0)
    t, y = torch.tensor(0.1), torch.tensor(STATE, dtype=torch.float64)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        np.testing.assert_array_equal(other(t, y).detach(), module(t, y).detach())
        next(other.parameters()).data.zero_()
    assert float(next(module.parameters()).detach().abs().sum()) > 0
    assert module.called == "Network"


def test_without_jax_it_is_said_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    from_jax.jax_double.cache_clear()
    with pytest.raises(BadInput, match="jax is not installed") as refused:
        FromJax(pendulum)
    assert 'pip install "odecheck[peers]"' in refused.value.fix


def test_a_map_over_rows_is_compiled_once():
    operation = FromJax(pendulum, {"k": np.array(2.0)})._operation
    assert from_jax._mapped(operation, (None, 0, None)) is from_jax._mapped(operation, (None, 0, None))
    assert (operation.pulled.inputs, operation.pulled.outputs) == (4, 3)


def test_parameters_in_place_of_a_field_are_refused():
    with pytest.raises(BadInput, match="which cannot be called"):
        FromJax({"k": 1.0})  # type: ignore[arg-type]
