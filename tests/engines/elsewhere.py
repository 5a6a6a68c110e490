"""A solve that is decay_on on a device that is neither a GPU nor the CPU."""

from __future__ import annotations

import torch
from torch import nn

ELSEWHERE = torch.device("meta")  # no GPU, and no CPU either


class Decay(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, t, y):
        return -self.rate * y


def decay_on(device):
    y0 = torch.ones(1, 2, dtype=torch.float64, device=device)
    return Decay().to(device), y0, torch.tensor([0.0, 1.0], dtype=torch.float64, device=device)
