"""Scalar coefficients of a field as modules of time: a number, a parameter, a learnt function of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .parts import FieldError


class Sine(nn.Module):
    """sin x"""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


class Softplus(nn.Module):
    """log(1 + e^x). torch's default, linear from 20 on, is off by 2e-9; from 40 on it is exact."""

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x, threshold=40.0)


class Fixed(nn.Module):
    """c = value, not learnt."""

    value: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(float(value), dtype=torch.float64))

    def forward(self, t: Tensor) -> Tensor:
        return self.value.to(t.dtype)


class Free(nn.Module):
    """c = a parameter."""

    def __init__(self, initial: float = 1.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(initial)))

    def forward(self, t: Tensor) -> Tensor:
        return self.value


class Learnt(nn.Module):
    """c = scale * s(w) with a learnt w; s a sigmoid for dampings and rates.

    initial: w at the start. Raises FieldError when scale is not positive.
    """

    def __init__(self, initial: float, activation: nn.Module | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = _positive_scale(scale)
        self.raw = nn.Parameter(torch.tensor(float(initial)))
        self.activation = nn.Sigmoid() if activation is None else activation

    def forward(self, t: Tensor) -> Tensor:
        return self.scale * self.activation(self.raw)


class OfTime(nn.Module):
    """c(t) = scale * s(net(t)); net maps (..., 1) to (..., 1).

    Raises FieldError when scale is not positive.
    """

    def __init__(self, net: nn.Module, activation: nn.Module | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = _positive_scale(scale)
        self.net = net
        self.activation = nn.Sigmoid() if activation is None else activation

    def forward(self, t: Tensor) -> Tensor:
        # a time for each row, (batch, 1), comes with its axis already
        return self.scale * self.activation(self.net(t if t.dim() else t[None]))


def _positive_scale(scale: float) -> float:
    if not scale > 0:
        raise FieldError(
            f"scale is {scale}: it bounds a positive coefficient from above, as epsilon does in "
            "epsilon * sigmoid(w); give scale > 0"
        )
    return float(scale)


def coefficient(given: float | nn.Module | Callable[[Tensor], Tensor]) -> Any:
    """A module or a function of time as it is; a number as `Fixed`."""
    return Fixed(given) if isinstance(given, int | float) else given
