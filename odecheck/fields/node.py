"""Neural ODEs (arXiv:1806.07366), augmented ones (ANODE; arXiv:1904.01681), and inner networks f(t, h)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from odecheck_reference import fields as exact
from torch import Tensor, nn
from torch.nn.functional import linear

from .activations import ACTIVATIONS
from .parts import PartedField, Parts, force
from .twins import build


class Autonomous(nn.Module):
    """f(t, h) = net(h)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return self.net(h)


class WithTime(nn.Module):
    """f(t, h) = net((h, t)): time is one more feature or channel, the last one along `dim`.

    t is a number, or has one entry for each row: (batch, 1), for images (batch, 1, 1, 1).
    """

    def __init__(self, net: nn.Module, dim: int = -1) -> None:
        super().__init__()
        self.net = net
        self.dim = dim

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        clock = t.to(h.dtype) + torch.zeros_like(h.narrow(self.dim, 0, 1))
        return self.net(torch.cat([h, clock], dim=self.dim))


def stack(widths: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Linear layers with the activation between them (not after the last)."""
    layers: list[nn.Module] = []
    for wide, out in pairwise(widths):
        layers += [activation, nn.Linear(wide, out)] if layers else [nn.Linear(wide, out)]
    return nn.Sequential(*layers)


class Affine(nn.Module):
    """f = A h + b (+ c t), parameters A (state, state), b and c (state,)."""

    def __init__(self, state: int, time: bool = False) -> None:
        super().__init__()
        begin = nn.Linear(state, state)
        self.weight, self.bias = begin.weight, begin.bias
        self.slope = nn.Parameter(torch.zeros(state)) if time else None

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        f = linear(h, self.weight, self.bias)
        return f if self.slope is None else f + t.to(h.dtype) * self.slope


class GradientFlow(nn.Module):
    """f = -W' s(W h + b), minus the gradient of a potential. W: (width, state)."""

    def __init__(self, state: int, width: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(state, width)
        self.activation = nn.Tanh() if activation is None else activation

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return -self.activation(self.linear(h)) @ self.linear.weight


class NODE(PartedField):
    """h' = f(t, h). inner: a module called as inner(t, h) that keeps the shape of h."""

    def __init__(self, inner: nn.Module, dim: int = -1) -> None:
        super().__init__(Parts({"h": None}, dim))
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return force(self.inner, t, y, y)


class ANODE(PartedField):
    """(h, a)' = f(t, (h, a)): `extra` features or channels a, zero at the start unless given.

    inner: a module called as inner(t, (h, a)), on the joint tensor.
    """

    def __init__(self, inner: nn.Module, extra: int, dim: int = -1) -> None:
        super().__init__(Parts({"h": None, "a": extra}, dim))
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.parts.split(y)  # refuses a state without room for the augmentation
        return force(self.inner, t, y, y)


@build.register
def _(field: exact.Linear) -> nn.Module:
    return Affine(field.state, field.time)


@build.register
def _(field: exact.Mlp) -> nn.Module:
    layers = stack(field.widths, ACTIVATIONS[field.activation]())
    return WithTime(layers) if field.time else Autonomous(layers)


@build.register
def _(field: exact.GradientFlow) -> nn.Module:
    return GradientFlow(field.state, field.width, ACTIVATIONS[field.activation]())


@build.register
def _(field: exact.Augmented) -> nn.Module:
    return ANODE(build(field.inner), field.extra)
