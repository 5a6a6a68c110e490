"""Scalar coefficients of a field as modules of time: a number, a parameter, a learnt function of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from odecheck_reference import fields as exact
from torch import Tensor, nn

from .activations import ACTIVATIONS
from .node import stack
from .parts import FieldError
from .twins import build


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


@build.register
def _(given: exact.Fixed) -> nn.Module:
    return Fixed(given.number)


@build.register
def _(given: exact.Free) -> nn.Module:
    return Free()


@build.register
def _(given: exact.Learnt) -> nn.Module:
    return Learnt(0.0, ACTIVATIONS[given.activation](), given.scale)


@build.register
def _(given: exact.OfTime) -> nn.Module:
    net = given.net
    if not isinstance(net, exact.Mlp):
        raise TypeError(f"a coefficient's network is an Mlp of time, not {type(net).__name__}")
    return OfTime(stack(net.widths, ACTIVATIONS[net.activation]()), ACTIVATIONS[given.activation](), given.scale)
