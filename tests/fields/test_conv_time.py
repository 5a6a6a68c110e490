"""Convolutions that see the time."""

from __future__ import annotations

import pytest
import torch

from odecheck.fields.conv import ConvWithTime


def test_convolutions_see_the_time_and_keep_the_image() -> None:
    torch.manual_seed(0)
    field = ConvWithTime((3, 5, 2), (1, 3))
    x = torch.randn(2, 3, 6, 7)
    assert field(torch.tensor(0.0), x).shape == (2, 2, 6, 7)
    assert not torch.equal(field(torch.tensor(0.0), x), field(torch.tensor(1.0), x))
    for channels, kernels in (((3, 3), (1, 1)), ((3, 3), (2,))):
        with pytest.raises(ValueError, match="one odd kernel"):
            ConvWithTime(channels, kernels)
