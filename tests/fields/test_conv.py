"""Convolutions that see the time: the image keeps its size, and each of them has the time as its last channel."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from odecheck.fields.conv import ConvWithTime


def test_values_are_those_of_convolutions_with_a_channel_of_time():
    torch.manual_seed(0)
    net, h, t = ConvWithTime((2, 3, 2), (3, 1)), torch.randn(4, 2, 5, 6), torch.tensor(0.3)
    expected = h
    for i, layer in enumerate(net.layers):
        image = torch.cat([expected.relu() if i else expected, torch.full((4, 1, 5, 6), 0.3)], 1)
        expected = conv2d(image, layer.net.weight, layer.net.bias, padding=1 - i)
    torch.testing.assert_close(net(t, h), expected)
    assert net(t, h).shape == h.shape
    assert not torch.equal(net(t, h), net(2 * t, h))


@pytest.mark.parametrize(("channels", "kernels"), [((2, 2), (3, 3)), ((2, 2), (4,)), ((2, 3, 2), (3, 2))])
def test_what_does_not_fit_together_is_refused(channels, kernels):
    with pytest.raises(ValueError, match="one odd kernel size for each convolution, and one channel count more"):
        ConvWithTime(channels, kernels)


def test_there_is_an_activation_between_layers_and_none_at_the_end():
    net = ConvWithTime((1, 1), (1,))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(-1.0)
    assert isinstance(net.activation, nn.ReLU)
    assert net(torch.tensor(0.0), torch.ones(1, 1, 2, 2)).unique().tolist() == [-2.0]
