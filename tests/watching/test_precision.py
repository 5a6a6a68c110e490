"""Noise that a field draws for itself is the user's in the truth as well."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchdiffeq import odeint_adjoint

import odecheck
from odecheck.watching.step import watch


class Noisy(nn.Module):
    """Noise of its first call, as flows have it for a trace."""

    def __init__(self, draw, dtype):
        super().__init__()
        self.draw, self.noise = draw, None
        self.weight = nn.Parameter(torch.randn(3, 3, dtype=dtype))

    def forward(self, t, y):
        if self.noise is None:
            self.noise = self.draw(y)
        return torch.tanh(y @ self.weight) * torch.cos(t) + self.noise


DRAWS = {
    "randn_like": torch.randn_like,
    "randn": lambda y: torch.randn(y.shape, dtype=y.dtype),
    "in place": lambda y: torch.empty_like(y).normal_(),
    "bernoulli": lambda y: torch.bernoulli(torch.full_like(y, 0.5)),
    "dropout": lambda y: nn.functional.dropout(torch.ones_like(y), 0.5),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("draw", DRAWS)
def test_noise_is_drawn_as_in_the_step(draw, dtype):
    torch.manual_seed(0)
    field, y0, t = Noisy(DRAWS[draw], dtype), torch.randn(4, 3, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
    with watch() as step:
        odeint_adjoint(field, y0, t, rtol=1e-5, atol=1e-6)[-1].sum().backward()
    assert step.rows[0].verdict is odecheck.HOLDS, str(step)
