"""Small second derivatives under strong contraction: y' = −k (y − cos t), whose solution is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odecheck.ode.arguments import start
from odecheck.ode.stepping import integrate
from odecheck.second_order import hessian, hvp
from odecheck.second_order.restarts import with_restarts

Y0, T = torch.tensor([0.5], dtype=torch.float64), torch.tensor([0.0, 0.3, 0.6], dtype=torch.float64)


class Pulled(nn.Module):
    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.k * (y - torch.cos(t))


def loss(y: Tensor) -> Tensor:
    return y[-1].sum() + y[1].square().sum()


def exact(k: float) -> Tensor:
    """The Hessian in (y0, k) of the loss of y = (k² cos t + k sin t)/(1 + k²) + (y0 − k²/(1 + k²)) exp(−k t)."""

    def value(z: Tensor) -> Tensor:
        y0, k = z
        slow = (k**2 * torch.cos(T) + k * torch.sin(T)) / (1 + k**2)
        return loss((slow + (y0 - k**2 / (1 + k**2)) * torch.exp(-k * T))[:, None])

    return torch.autograd.functional.hessian(value, torch.tensor([float(Y0), k], dtype=torch.float64))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("k", [60.0])
def test_a_product_is_right_relative_to_its_own_size(k: float) -> None:
    found = hvp(Pulled(k), Y0, T, loss, (torch.zeros_like(Y0), [torch.ones((), dtype=torch.float64)])).product
    assert float(found[1][0]) == pytest.approx(float(exact(k)[1, 1]), rel=1e-3)


def test_a_hessian_is_right_relative_to_its_own_size() -> None:
    found, right = hessian(Pulled(40.0), Y0, T, loss), exact(40.0)
    assert float(found[1, 1]) == pytest.approx(float(right[1, 1]), rel=1e-4)
    assert float(found[0, 0]) == pytest.approx(float(right[0, 0]), rel=1e-3)
    assert float(found[0, 1]) == pytest.approx(float(right[0, 1]), rel=1e-3)


@pytest.mark.parametrize(("k", "more"), [(1.0, False), (60.0, True)])
def test_restarts_are_made_where_the_way_back_is_lost(k: float, more: bool) -> None:
    problem = start(Pulled(k), Y0, T)
    y = integrate(problem.flow.field, T, problem.y0, problem.inputs, problem.flow.forward, problem.flow.pace)
    times, where = with_restarts(problem, T, y)
    assert torch.equal(times[where], T)
    assert (len(times) > len(T)) is more
