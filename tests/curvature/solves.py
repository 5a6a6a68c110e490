"""Fields, and solves of them whose backward passes are looked at."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

import odecheck

ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun", "fehlberg2")


FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4")


SOLVES = {"torchdiffeq": torchdiffeq.odeint_adjoint, "odecheck": odecheck.odeint}


each_solve = pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)


D = torch.float64


class Dense(nn.Module):
    """A field of time and state with a layer that is called twice and one that has no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h = torch.tanh(self.first(torch.cat([y, t.expand(*y.shape[:-1], 1)], -1)))
        h = torch.tanh(self.again(torch.tanh(self.again(h))))
        return self.last(h)


class Pixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 2), padding="same", dilation=(1, 2), padding_mode="circular")
        self.back = nn.Conv2d(4, 2, 3, padding=1, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        time = t.expand(len(y), 1, *y.shape[2:])
        return self.back(torch.tanh(self.conv(torch.cat([y, time], 1))))


def made(kind: type[nn.Module], *shape: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return kind().to(D), torch.randn(*shape, dtype=D)


def mean_loss(y: Tensor) -> Tensor:
    """A mean over samples (the second axis) of what every time contributes."""
    return (y * torch.linspace(0.5, 1.5, len(y), dtype=y.dtype).reshape(-1, *[1] * (y.dim() - 1))).square().sum() / (
        y.shape[1]
    )


def backward_of(solve, field, y0, times=(0.0, 0.7, 1.5), **how):
    t = torch.tensor(times, dtype=y0.dtype)

    def backward() -> None:
        field.zero_grad()
        mean_loss(solve(field, y0, t, **how)).backward()

    return backward


class Wandering(nn.Module):
    """Two solves of one field, of different length, the second from where the first ended."""

    def __init__(self, field: nn.Module, solve, splits) -> None:
        super().__init__()
        self.field, self.solve, self.splits = field, solve, splits

    def forward(self, y: Tensor) -> Tensor:
        for a, b in pairwise(self.splits):
            t = torch.tensor([a, b], dtype=y.dtype)
            y = self.solve(self.field, y, t, method="dopri5", rtol=1e-5, atol=1e-7)[-1]
        return y


def distance(a, b) -> float:
    return max(float((x - y).norm() / y.norm()) for n in a for x, y in ((a[n].A, b[n].A), (a[n].B, b[n].B)))
