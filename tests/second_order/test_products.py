"""Hessian-vector products in two solves, against differentiation of the closed solve; a wrong one is refuted."""

import pytest
import torch

from odecheck import second_order
from odecheck.second_order import products as products_module
from tests.second_order.problems import TIMES, TOLERANCE, close, setup

pytestmark = pytest.mark.usefixtures("in_float64")


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
@pytest.mark.parametrize("with_cost", [False, True])
def test_product_agrees_with_differentiation(shape: tuple[int, ...], with_cost: bool) -> None:
    field, x, loss, cost, total, z = setup(shape, with_cost)
    v = torch.cos(2 * torch.arange(float(len(z))))
    expected = torch.func.jvp(torch.func.grad(total), (z,), (v,))[1]
    parts = v[x.numel() :].split([p.numel() for p in field.parameters()])
    along = [part.view(p.shape) for part, p in zip(parts, field.parameters(), strict=True)]
    result = second_order.hvp(
        field, x, TIMES, loss, (v[: x.numel()].view(shape), along), running_cost=cost, **TOLERANCE
    )
    assert close(torch.cat([result.product[0].flatten(), *(g.flatten() for g in result.product[1])]), expected)
    gradient = torch.func.grad(total)(z)
    assert close(torch.cat([result.gradient[0].flatten(), *(g.flatten() for g in result.gradient[1])]), gradient)
    assert close(result.loss, total(z))


def test_a_forgotten_jump_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    field, x, loss, cost, total, z = setup((2,), True)
    v = (torch.ones_like(x), [torch.ones_like(p) for p in field.parameters()])
    truth = torch.func.jvp(torch.func.grad(total), (z,), (torch.ones_like(z),))[1][:2]
    product = lambda: second_order.hvp(field, x, TIMES, loss, v, running_cost=cost, **TOLERANCE).product[0]  # noqa: E731
    assert close(product(), truth)
    backward = products_module._backward

    def no_interior_jump(problem, t, y, dy, c, dc, *rest):
        ends = torch.tensor([1.0, 0.0, 1.0])[:, None]
        return backward(problem, t, y, dy, c, [x * ends for x in dc], *rest)

    monkeypatch.setattr(products_module, "_backward", no_interior_jump)
    assert not close(product(), truth, 1e-3)


def test_a_direction_of_another_shape_is_refused() -> None:
    field, x, loss, _, _, _ = setup((3, 2), False)
    with pytest.raises(ValueError, match="direction"):
        second_order.hvp(field, x, TIMES, loss, (x[0], None))
    with pytest.raises(ValueError, match="the direction in the parameters has shapes"):
        second_order.hvp(field, x, TIMES, loss, (x, [x]))
