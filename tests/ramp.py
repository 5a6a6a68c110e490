"""A ramp whose best last time, and best slope, are known in closed form, and how an optimiser of the time is used."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from odecheck.ode import odeint
from odecheck.optim.horizon import HorizonNewton, HorizonOptimizer

# the ramp and its adjoint are quadratic in t at most, which one step of rk4 integrates exactly: round-off is left
EXACT = {"method": "rk4"}


class Ramp(nn.Module):
    """y' = θ t, y(0) = 0: y(T) = θT²/2."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.theta * t + 0 * y


# J(T, θ) = ½(θT²/2 − A)² + C/2 T² + R/2 θ². With A = C + R/C it has a minimum at θ* = 1, T*² = 2R/C, where the
# residual is −C, so that J_TT = T*², J_θθ = T*⁴/4 + R, J_Tθ = T*³/2 − C T*.
C, R = 0.4, 1.0
A = C + R / C
BEST = math.sqrt(2 * R / C)
TT, THETA2, MIXED = BEST**2, BEST**4 / 4 + R, BEST**3 / 2 - C * BEST
RHO = MIXED**2 / (TT * THETA2)


def solved(field: nn.Module, T: Tensor, y0: Tensor, solver: Callable = odeint, **how) -> Tensor:
    return solver(field, y0, torch.stack([T.new_zeros(()), T]), **(how or EXACT))[-1]


def ramp_loss(field: Ramp, T: Tensor, solver: Callable = odeint) -> tuple[Tensor, Tensor]:
    end = solved(field, T, torch.zeros(1), solver)
    return 0.5 * (end - A).square().sum(), end


def measured(horizon: HorizonOptimizer, field: nn.Module, loss: Tensor, end: Tensor) -> None:
    """One backward pass and a measurement, in the order that the policy asks for."""
    if isinstance(horizon, HorizonNewton):
        horizon.measure(loss, end, field)
        loss.backward()
    else:
        loss.backward()
        horizon.measure()
