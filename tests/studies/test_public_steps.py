"""The declared steps of public projects: each once, and its model is made from the checkout that is given."""

from __future__ import annotations

import importlib
import sys

from odecheck.studies.public_steps import STEPS

BALL = """
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint, odeint_event

class BouncingBallExample(nn.Module):
    def __init__(self, adjoint=False):
        super().__init__()
        self.gravity, self.solve = nn.Parameter(torch.tensor(9.8)), odeint_adjoint if adjoint else odeint

    def forward(self, t, y):
        return torch.stack([y[1], -self.gravity])

    def get_collision_times(self, n):
        y0 = torch.tensor([1.0, 0.0])
        event = dict(event_fn=lambda t, y: y[0], odeint_interface=self.solve, rtol=1e-5)
        return [odeint_event(self, y0, torch.tensor(0.0), **event)[0].reshape(1)]
"""


def test_each_is_declared_once_and_says_whose_it_is():
    names = [(one.repository, one.model) for one in STEPS]
    assert len(set(names)) == len(names) >= 20
    assert all(repository.count("/") == 1 for repository, _ in names)


def test_a_step_is_made_from_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "bouncing_ball.py").write_text(BALL)
    for one in [one for one in STEPS if "bouncing_ball" in one.model]:
        assert one.make(tmp_path)() is None
    ball = importlib.import_module("bouncing_ball")
    assert ball.__file__ == str(tmp_path / "examples" / "bouncing_ball.py")
    del sys.modules["bouncing_ball"]
