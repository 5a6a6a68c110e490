"""Activations as torch modules, each the function of the same name in the reference's `ACTIVATIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Sine(nn.Module):
    """The function sin x, entry by entry."""

    def forward(self, x: Tensor) -> Tensor:
        """Shaped like x."""
        return torch.sin(x)


class Softplus(nn.Module):
    """The function log(1 + e^x), entry by entry.

    The default of torch, linear from 20 on, is off by 2e-9; linear from 40 on is exact in float64.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Shaped like x."""
        return softplus(x, threshold=40.0)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "softplus": Softplus,
    "sine": Sine,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
