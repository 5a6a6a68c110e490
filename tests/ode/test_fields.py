"""Fields of derivatives: their rates are those of the formulas, and both ways to evaluate a field give the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.ode.fields import Adjoint, Batched, Field, Leaves, Tangent, batch_levels, vector_jacobian
from odecheck.ode.flow import Rescaled
from odecheck.ode.user_field import UserField

pytestmark = pytest.mark.usefixtures("in_float64")


class Inner(nn.Module):
    """y' = sin(w y₀ y₁ + t) + v y, and the cost w·y t."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.7, -1.2], dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor(0.4, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.w * y.prod() + t) + self.v * y

    def cost(self, t: Tensor, y: Tensor) -> Tensor:
        return (self.w * y).sum() * t


T = torch.tensor(0.3, dtype=torch.float64)
Y, A, DY = (torch.tensor(x, dtype=torch.float64) for x in ([0.5, -1.5], [1.0, 2.0], [-0.3, 0.8]))
W, V, DW = torch.tensor([0.7, -1.2]).double(), torch.tensor(0.4).double(), torch.tensor([1.5, -0.5]).double()
ONE = torch.tensor(1.0, dtype=torch.float64)


def user() -> UserField:
    inner = Inner()
    return UserField(inner, True, 1, None, inner.cost)


def rates_of(t: Tensor, y: Tensor, w: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return torch.sin(w * y.prod() + t) + v * y, (w * y).sum() * t


def tangent() -> tuple[Field, Leaves, Leaves]:
    return Tangent(user(), (0,)), [Y, DY], [W, V, DW]


def adjoint() -> tuple[Field, Leaves, Leaves]:
    return Adjoint(user(), [W, V], (0, 1)), [Y, A], [ONE, W, V]


def tangent_of_adjoint() -> tuple[Field, Leaves, Leaves]:
    return Tangent(adjoint()[0], (1,)), [Y, A, DY, A.flip(0)], [ONE, W, V, DW]


def adjoint_of_tangent() -> tuple[Field, Leaves, Leaves]:
    return Adjoint(tangent()[0], [W, V, DW], (0, 2)), [Y, DY, A, A.flip(0)], [ONE, 2 * ONE, W, V, DW]


def tangent_of_tangent() -> tuple[Field, Leaves, Leaves]:
    return Tangent(tangent()[0], (2,)), [Y, DY, A, Y], [W, V, DW, DW.flip(0)]


def rescaled() -> tuple[Field, Leaves, Leaves]:
    return Rescaled(user()), [Y], [ONE, 3 * ONE, W, V]


@pytest.mark.parametrize(
    "make", [tangent, adjoint, tangent_of_adjoint, adjoint_of_tangent, tangent_of_tangent, rescaled]
)
def test_both_ways_to_evaluate_give_the_same_numbers(make: Callable) -> None:
    field, y, p = make()
    expected = field(T, y, p)
    assert len(expected) == field.states + len(field.quadratures) == len(field.batch)
    with torch.no_grad(), field.fixed(p) as rates:
        found = rates(T, y)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-13, atol=1e-14)
        assert not a.requires_grad


def test_a_tangent_is_the_derivative_along_its_direction() -> None:
    field, y, p = tangent()
    rate, moved, cost, dcost = field(T, y, p)
    (r, c), (dr, dc) = torch.func.jvp(lambda y, w: rates_of(T, y, w, V), (Y, W), (DY, DW))
    for found, expected in zip((rate, moved, cost, dcost), (r, dr, c, dc), strict=True):
        torch.testing.assert_close(found, expected)


def test_an_adjoint_pulls_back_with_the_other_sign() -> None:
    """−F_yᵀ a − ℓ_y, and the same in the parameters, with the cotangent 1 of the cost."""
    field, y, p = adjoint()
    rate, back, gw, gv = field(T, y, p)
    _, pull = torch.func.vjp(lambda y, w, v: rates_of(T, y, w, v), Y, W, V)
    for found, expected in zip((rate, -back, -gw, -gv), (rates_of(T, Y, W, V)[0], *pull((A, ONE))), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_parameter_that_no_rate_depends_on_is_known_as_unused() -> None:
    inner = Inner()
    field = Adjoint(UserField(lambda t, y: inner.v * y, True, 1, None), [W, V], (0, 1))
    with torch.no_grad(), field.fixed([W, V]) as rates:
        rates(T, [Y, A])
    assert field.used == [False, True]


def test_a_batched_field_is_its_field_for_each_sample() -> None:
    ws = torch.stack([W, 2 * W, -W])
    field = Batched(user(), [False], [True, False], 3, "error")
    assert (field.batch, field.quadratures) == ((0, 1), (torch.Size((3,)),))
    spread = Batched.spreading(user(), T, [Y], [ws, V], [False], [True, False], 3, "error")
    assert spread.state_axes == (0,)  # what drives it is batched, and so it will be
    rate, cost = spread(T, [Y.expand(3, 2)], [ws, V])
    for i in range(3):
        torch.testing.assert_close((rate[i], cost[i]), rates_of(T, Y, ws[i], V))


def test_a_rescaled_field_runs_from_zero_to_one() -> None:
    field, y, p = rescaled()
    assert torch.equal(field(T, y, p)[0], 2 * rates_of(1 + 2 * T, Y, W, V)[0])


def test_vector_jacobian_products_say_where_nothing_depends() -> None:
    x, z = (torch.ones(2, requires_grad=True) for _ in range(2))
    assert vector_jacobian([torch.ones(2)], [x], [x], live=False) == [None]
    found, none = vector_jacobian([x * x], [x, z], [torch.tensor([1.0, 3.0])], live=False)
    assert found.tolist() == [2, 6] and none is None


def test_levels_of_batches_are_those_of_the_transforms_around() -> None:
    seen = []

    def look(x: Tensor, y: Tensor) -> Tensor:
        seen.extend([batch_levels(x), batch_levels(y), batch_levels(x + y)])
        return x + y

    torch.func.vmap(lambda x: torch.func.vmap(lambda y: look(x, y))(Y))(Y)
    assert [len(levels) for levels in seen] == [1, 1, 2] and batch_levels(Y) == set()
