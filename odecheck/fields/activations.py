"""Activations as torch modules, each the function of the same name in the reference's `ACTIVATIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Sine(nn.Module):
    """sin x"""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


class Softplus(nn.Module):
    """log(1 + e^x). torch's default, linear from 20 on, is off by 2e-9; from 40 on it is exact."""

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x, threshold=40.0)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "softplus": Softplus,
    "sine": Sine,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
