"""Classical vector fields as torch modules; each parameter is a number of its own."""

from __future__ import annotations

import torch
from odecheck_reference import fields as exact
from torch import Tensor, nn

from .twins import build


class Logistic(nn.Module):
    """y' = r y (1 - y / K)."""

    def __init__(self, r: float = 1.0, K: float = 1.0) -> None:
        super().__init__()
        self.r = nn.Parameter(torch.tensor(float(r)))
        self.K = nn.Parameter(torch.tensor(float(K)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.r * y * (1 - y / self.K)


class LotkaVolterra(nn.Module):
    """x' = alpha x - beta x y, y' = delta x y - gamma y. State (..., 2)."""

    def __init__(self, alpha: float = 1.5, beta: float = 1.0, gamma: float = 3.0, delta: float = 1.0) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.beta = nn.Parameter(torch.tensor(float(beta)))
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        self.delta = nn.Parameter(torch.tensor(float(delta)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        prey, hunter = y.unbind(-1)
        return torch.stack(
            [prey * (self.alpha - self.beta * hunter), hunter * (self.delta * prey - self.gamma)], dim=-1
        )


class VanDerPol(nn.Module):
    """x' = v, v' = mu (1 - x^2) v - x. State (..., 2)."""

    def __init__(self, mu: float = 1.0) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(float(mu)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x, v = y.unbind(-1)
        return torch.stack([v, self.mu * (1 - x.square()) * v - x], dim=-1)


class Pendulum(nn.Module):
    """Damped and forced in time: q' = p, p' = -k sin q - c p + a cos(w t). State (..., 2)."""

    def __init__(self, k: float = 1.0, c: float = 0.1, a: float = 0.5, w: float = 1.0) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.tensor(float(k)))
        self.c = nn.Parameter(torch.tensor(float(c)))
        self.a = nn.Parameter(torch.tensor(float(a)))
        self.w = nn.Parameter(torch.tensor(float(w)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(-1)
        clock = t[..., 0] if t.dim() else t  # a time for each row, (batch, 1), or one for all
        forcing = self.a * torch.cos(self.w * clock)
        return torch.stack([p, forcing - self.c * p - self.k * torch.sin(q)], dim=-1)


class Lorenz(nn.Module):
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z. State (..., 3)."""

    def __init__(self, sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3) -> None:
        super().__init__()
        self.sigma = nn.Parameter(torch.tensor(float(sigma)))
        self.rho = nn.Parameter(torch.tensor(float(rho)))
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        u, v, w = y.unbind(-1)
        return torch.stack([self.sigma * (v - u), u * (self.rho - w) - v, u * v - self.beta * w], dim=-1)


class Switched(nn.Module):
    """y' = a y for t < at, y' = b y from then on."""

    def __init__(self, at: float, a: float = -1.0, b: float = 1.0) -> None:
        super().__init__()
        self.at = at
        self.a = nn.Parameter(torch.tensor(float(a)))
        self.b = nn.Parameter(torch.tensor(float(b)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.where(t < self.at, self.a, self.b) * y


@build.register
def _(field: exact.Logistic) -> nn.Module:
    return Logistic()


@build.register
def _(field: exact.LotkaVolterra) -> nn.Module:
    return LotkaVolterra()


@build.register
def _(field: exact.VanDerPol) -> nn.Module:
    return VanDerPol()


@build.register
def _(field: exact.Pendulum) -> nn.Module:
    return Pendulum()


@build.register
def _(field: exact.Lorenz) -> nn.Module:
    return Lorenz()


@build.register
def _(field: exact.Switched) -> nn.Module:
    return Switched(field.at)
