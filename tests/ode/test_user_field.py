"""A field that changes between solve and backward() is refused; one that stays is not, whatever it counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odecheck.ode import odeint
from tests.ode.shared import Field, T, X

TIMES = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)


class Paced(nn.Module):
    scale: torch.Tensor

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2).double()
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.pace = 1.0
        self.calls = 0
        self.draws = False

    def forward(self, t, y):
        self.calls += 1
        noise = torch.randn(2, dtype=y.dtype) if self.draws else 0.0
        return self.pace * self.scale * torch.tanh(self.inner(y)) + noise


def attribute(field):
    field.pace = 1.25


def buffer(field):
    field.scale = 1.25 * field.scale


def data(field):
    field.inner.weight.data = 1.25 * field.inner.weight.data


def random(field):
    field.draws = True


def solved(field):
    start = torch.tensor([[1.0, -0.5]], dtype=torch.float64, requires_grad=True)
    return start, odeint(field, start, TIMES)[1:].square().sum()


@pytest.mark.parametrize("change", [attribute, data, random])
def test_a_field_that_changes_before_backward_is_refused(change):
    field = Paced()
    _, value = solved(field)
    change(field)
    with pytest.raises(RuntimeError, match=r"not the one that was solved: its rate at the start has changed"):
        value.backward()


def test_a_buffer_that_is_replaced_leaves_the_derivative_as_it_was():
    """The solve holds its buffers as it holds its parameters."""
    field = Paced()
    start, value = solved(field)
    (right,) = torch.autograd.grad(value, start, retain_graph=True)
    buffer(field)
    (found,) = torch.autograd.grad(value, start)
    assert torch.equal(found, right)


def test_a_change_between_two_solves_is_refused():
    field = Paced()
    _, first = solved(field)
    attribute(field)
    _, second = solved(field)
    with pytest.raises(RuntimeError, match="use one module for each solve"):
        (first + second).backward()


def test_what_changes_after_backward_or_changes_nothing_is_not():
    field = Paced()
    start, value = solved(field)
    (slope,) = torch.autograd.grad(value, start, create_graph=True)
    slope.square().sum().backward()
    assert start.grad is not None and field.inner.weight.grad is not None
    attribute(field)
    begun = field.calls
    solved(field)[1].backward()
    assert field.calls > begun


def test_transforms_are_as_they_were():
    field = Paced()
    points = torch.tensor([[1.0, -0.5], [0.25, 0.5]], dtype=torch.float64)

    def loss(y):
        return odeint(field, y, TIMES)[-1].square().sum()

    slopes = torch.func.vmap(torch.func.grad(loss))(points)
    alone = torch.stack([torch.func.grad(loss)(y) for y in points])
    assert torch.allclose(slopes, alone, rtol=1e-6)


pytestmark = pytest.mark.usefixtures("in_float64")


def test_hidden_tensors_are_refused() -> None:
    w = torch.tensor(2.0, requires_grad=True)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return w * y

    def through(w: Tensor) -> Tensor:
        return odeint(lambda t, y: w * y, X, T).sum()

    with pytest.raises(ValueError, match="adjoint_params"):
        odeint(field, X, T)
    for transform in (
        torch.func.grad(through),
        torch.func.jacfwd(through),
        torch.func.jacrev(torch.func.grad(through)),
    ):
        with pytest.raises(ValueError, match="adjoint_params"):
            transform(torch.tensor(2.0))
    with pytest.raises(ValueError, match="adjoint_params"):
        torch.func.vmap(through)(torch.ones(2))
    with pytest.raises(ValueError, match="adjoint_params"):
        odeint(field, X, T, adjoint_params=())
    with torch.no_grad():
        odeint(field, X, T)
    odeint(lambda t, y: w.detach() * y, X, T)
    torch.func.vmap(lambda x: odeint(lambda t, y: w.detach() * y, x, T))(torch.ones(3, 2))


def test_a_tensor_that_was_only_lent_is_noticed() -> None:
    """Reached through a list, where no swap can find it."""
    nets = [nn.Linear(2, 2, dtype=torch.float64)]
    state = odeint(lambda t, y: nets[0](y), X, T, adjoint_params=tuple(nets[0].parameters()))
    nets[0] = nn.Linear(2, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="does not read it now"):
        state.sum().backward()


def test_unused_and_frozen_parameters_get_no_gradient() -> None:
    field = Field()
    odeint(field, X, T).square().sum().backward()
    assert field.unused.grad is None
    assert field.frozen.grad is None
    assert field.layer.weight.grad is not None


def test_unused_parameters_get_zeros_where_they_are_asked_for() -> None:
    field = Field()
    odeint(field, X, T, unused="zeros").square().sum().backward()
    assert torch.equal(torch.as_tensor(field.unused.grad), torch.zeros(3))
    assert field.frozen.grad is None


def test_a_parameter_changed_in_place_is_an_error() -> None:
    field = Field()
    state = odeint(field, X, T)
    with torch.no_grad():
        field.layer.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.sum().backward()
