"""Tensors of modules are lent for an evaluation and put back; those that are shared are lent once."""

import functools
import gc
import weakref

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.ode import odeint
from odecheck.ode.captured_tensors import Substitute, modules_of, swapped, tensors_of
from tests.ode.shared import Field, T, X

pytestmark = pytest.mark.usefixtures("in_float64")


def test_a_function_may_close_over_modules() -> None:
    net = nn.Linear(2, 2, dtype=torch.float64)

    def inner(y: Tensor) -> Tensor:
        return torch.tanh(net(y))

    def loss(weights: dict[str, Tensor]) -> Tensor:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def forward(self) -> Tensor:
                return odeint(lambda t, y: inner(y), X, T).square().sum()

        return torch.func.functional_call(Model(), {f"net.{k}": v for k, v in weights.items()}, ())

    weights = {k: v.detach() for k, v in net.named_parameters()}
    gradient = torch.func.grad(loss)(weights)
    value = odeint(lambda t, y: inner(y), X, T).square().sum()
    for ours, theirs in zip(torch.autograd.grad(value, list(net.parameters())), gradient.values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_module_is_left_alone() -> None:
    field = Field().eval()
    before = {**vars(field)}, dict(field._parameters), dict(field._buffers), dict(field.layer._parameters)
    steps = odeint(field, X.clone().requires_grad_(), T).sum()
    after = {**vars(field)}, dict(field._parameters), dict(field._buffers), dict(field.layer._parameters)
    assert [list(d) for d in before] == [list(d) for d in after]
    assert all(a[k] is b[k] for a, b in zip(before, after, strict=True) for k in a)
    assert int(field.calls) > 6
    assert len(field.steps) >= 2
    assert min(field.steps) >= 0
    steps.backward()
    assert min(field.steps) < 0


def test_a_buffer_that_changes_between_two_solves_is_remembered() -> None:
    """The backward pass of the first solve is that of the first value."""
    field = Field()
    first = odeint(field, X, T)
    field.scale = torch.tensor(-0.4, dtype=torch.float64)
    odeint(field, X, T)
    gradient = torch.autograd.grad(first.sum(), field.layer.weight)[0]
    fresh = Field()
    torch.testing.assert_close(gradient, torch.autograd.grad(odeint(fresh, X, T).sum(), fresh.layer.weight)[0])


def test_shared_parameters_count_once() -> None:
    field = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), nn.Tanh(), nn.Linear(2, 2, dtype=torch.float64))
    field[2].weight = field[0].weight

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = field

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y)

    module = Shared()
    ours = torch.autograd.grad(odeint(module, X, T).sum(), list(module.parameters()))
    theirs = torch.autograd.grad(
        torchdiffeq.odeint(module, X, T, rtol=1e-9, atol=1e-10).sum(), list(module.parameters())
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_modules_are_found_wherever_a_callable_can_reach_them() -> None:
    a, b, c, d = (nn.Linear(2, 2) for _ in range(4))

    class Owner:
        def __init__(self) -> None:
            self.net = b

        def field(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y)

    def inner(y: Tensor, net: nn.Module = d) -> Tensor:
        return net(c(y))

    found = modules_of(functools.partial(lambda owner, t, y: owner(t, a(inner(y))), Owner().field))
    assert {id(x) for x in found} == {id(x) for x in (a, b, c, d)}
    assert modules_of(a) == [a] and modules_of(torch.sin) == []


def test_tensors_are_the_floating_point_ones_of_all_parts() -> None:
    field = Field()
    found = {name: tensor for _, name, tensor in tensors_of(field)}
    assert set(found) == {"frozen", "unused", "scale", "weight", "bias"}
    assert found["weight"] is field.layer.weight
    with pytest.raises(TypeError, match=r"Pass the nn\.Module that it was scripted from"):
        list(tensors_of(torch.jit.script(nn.Linear(2, 2))))


def test_what_a_field_assigns_itself_while_it_is_lent_stays() -> None:
    field, mine, theirs = Field(), torch.zeros(2), torch.ones(2)
    own = field.frozen
    slots = [[(field._parameters, "frozen")], [(field._buffers, "scale")]]
    with swapped(slots, [mine, theirs]):
        assert field.frozen is mine and field.scale is theirs
        field.scale = assigned = torch.full((2,), 5.0)
    assert field.frozen is own and field.scale is assigned


def test_a_substitute_is_seen_wherever_an_operation_meets_the_tensor() -> None:
    given, other = torch.ones(2), torch.full((2,), 3.0)
    substitute = Substitute({id(given): other})
    with substitute:
        assert torch.stack([given, given * 2])[1].tolist() == [6, 6]
    assert substitute.met == {id(given)} and (given + 1).tolist() == [2, 2]


@pytest.mark.parametrize("seen", [lambda f: f, lambda f: lambda t, y: f(t, y), lambda f: f.forward])
def test_a_solved_field_is_freed_with_its_solve(seen) -> None:
    """Not kept by a circle of the search for its modules, until Python looks for circles."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2, dtype=torch.float64)

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return self.layer(y)

    gc.collect()
    gc.disable()
    try:
        field = Own()
        known = weakref.ref(field)
        odeint(seen(field), X, T).sum().backward()
        del field
        assert known() is None
    finally:
        gc.enable()
