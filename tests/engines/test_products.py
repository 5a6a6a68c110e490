"""Products of second order are asked of engines that have them, and of no others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck.engines.own import Closed, Discrete
from odecheck.engines.products import products_of
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.errors import Unsupported
from odecheck.solvers import FixedStep


class _Field(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.net(y) * torch.cos(t)


def test_an_engine_without_products_says_so():
    with pytest.raises(Unsupported, match="no Hessian-vector and Gauss-Newton-vector products"):
        products_of(Adjoint())


def test_both_of_our_engines_agree_on_both_products():
    torch.manual_seed(0)
    module = _Field().double()
    y0, ts = torch.randn(2, 2, dtype=torch.float64), torch.linspace(0, 1, 3, dtype=torch.float64)
    v, u = torch.randn_like(y0), [torch.randn_like(p) for p in module.parameters()]
    asked = (module, FixedStep("rk4", step=1 / 64), y0, ts, lambda y: (y**4).sum() / 4, v, u)
    for name in ("product", "gauss_newton_product"):
        one, other = (getattr(engine, name)(*asked) for engine in (Closed(), Discrete()))
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
