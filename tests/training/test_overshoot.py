"""How far a position goes: known flows, one of them back at its start at the end."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from odecheck.fields import NODELayer
from odecheck.training.loop import train
from odecheck.training.models import OdeNet
from odecheck.training.overshoot import overshoot
from tests.training.spheres import DATA, SHORT, SPHERES, trial


class Times(nn.Module):
    """f(t, h) = rate(t) h."""

    def __init__(self, rate) -> None:
        super().__init__()
        self.rate, self.none = rate, nn.Linear(1, 1)

    def forward(self, t, h):
        return self.rate(t) * h


def net(rate, model="NODE") -> OdeNet:
    setting = replace(SHORT, tolerance=1e-6)
    begin = lambda i, o: nn.Linear(i, o)  # noqa: E731
    return OdeNet(
        model, setting, features=2, state=2, inner=lambda i, o: Times(rate), begin=begin, readout=nn.Linear(2, 1)
    )


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (lambda t: torch.ones(()), math.e),
        (lambda t: -torch.ones(()), 1.0),
        # exp(sin(2πt)/2): out to e^½ after a quarter of the way, and at the end where it was
        (lambda t: math.pi * torch.cos(2 * math.pi * t), math.exp(0.5)),
    ],
    ids=["growth", "decay", "there and back"],
)
def test_known_flows_go_as_far_as_they_go(rate, expected) -> None:
    assert overshoot(SPHERES, net(rate), DATA.test) == pytest.approx(expected, rel=1e-4)


def test_it_is_the_position_that_is_seen_and_not_the_momentum() -> None:
    """h'' = −γ h' from h' = 0 stays where it is; its network gives a momentum that is as large as one likes."""
    model = net(lambda t: torch.zeros(()), "HBNODE")
    for parameter in model.begin.net.parameters():
        nn.init.zeros_(parameter)
    assert overshoot(SPHERES, model, DATA.test) == pytest.approx(1.0, abs=1e-6)
    with torch.no_grad():
        model.begin.net.bias.fill_(10.0)
    assert overshoot(SPHERES, model, DATA.test) > 5


def test_a_model_without_a_position_has_none() -> None:
    layer = NODELayer(nn.Identity())
    assert math.isnan(overshoot(SPHERES, nn.Sequential(layer, nn.Linear(2, 1)), DATA.test))


def test_evaluations_have_it_and_nothing_else_changes(monkeypatch) -> None:
    rows = list(train(trial("HBNODE"), DATA))
    assert all((row.overshoot >= 1) == (row.split == "test") for row in rows)
    monkeypatch.setattr("odecheck.training.loop.overshoot", lambda *_: 1.0)
    without = list(train(trial("HBNODE"), DATA))
    assert [(row.loss, row.nfe_forward, row.nfe_backward) for row in rows if row.split == "train"] == [
        (row.loss, row.nfe_forward, row.nfe_backward) for row in without if row.split == "train"
    ]
