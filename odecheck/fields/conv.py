"""Convolutions that see the time, as inner networks f(t, h) of fields on images (batch, channels, height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from .node import WithTime


class ConvWithTime(nn.Module):
    """f(t, h): convolutions that keep the image's size, ReLU between them, time as a last channel of each.

    Args:
        channels: of h, of every layer between, and of f.
        kernels: their odd sizes in pixels, one for each convolution.

    Raises:
        ValueError: where these do not fit together.
    """

    def __init__(self, channels: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        if len(channels) != len(kernels) + 1 or any(k % 2 == 0 for k in kernels):
            raise ValueError(
                f"{len(channels)} channel counts and kernels {tuple(kernels)}: give one odd kernel size for each "
                "convolution, and one channel count more"
            )
        self.layers = nn.ModuleList(
            WithTime(nn.Conv2d(wide + 1, out, kernel, padding=kernel // 2), dim=-3)
            for (wide, out), kernel in zip(pairwise(channels), kernels, strict=True)
        )
        self.activation = nn.ReLU()

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """From h (batch, channels, height, width) to an image of the same height and width."""
        for place, layer in enumerate(self.layers):
            h = layer(t, self.activation(h) if place else h)
        return h
