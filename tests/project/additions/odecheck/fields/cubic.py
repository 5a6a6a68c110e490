"""The torch twin of the cubic field."""

from __future__ import annotations

import torch
from odecheck_reference.fields.cubic import Cubic as Exact
from torch import Tensor, nn

from .twins import build


class Cubic(nn.Module):
    """t, y ↦ −k y³."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.zeros(1))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.k * y**3


@build.register
def _(field: Exact) -> nn.Module:
    return Cubic()
