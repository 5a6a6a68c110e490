"""A saved solve is posed again by its script, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint, odeint_event

from odecheck.watching.step import watch

FIELD = """
import torch
from torch import nn

def make():
    torch.manual_seed(99)  # other values: those of the step are read
    return Field()

class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, t, y):
        return torch.tanh(self.net(y)) * torch.cos(t)
"""


class Field(nn.Module):
    """The same field."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, t, y):
        return torch.tanh(self.net(y)) * torch.cos(t)


@pytest.mark.parametrize("options", [{}, {"method": "rk4", "options": {"step_size": 0.1}}])
def test_a_script_poses_the_solve_again(tmp_path, options):
    field, y0, t = Field(), torch.randn(3, 2), torch.tensor([0.0, 0.4, 1.0])
    with watch() as step:
        odeint_adjoint(field, y0, t, rtol=1e-4, atol=1e-5, **options).square().sum().backward()
    largest = float(field.net.weight.grad.abs().max())
    step.rows[0].save(tmp_path)
    (tmp_path / "my_model.py").write_text(FIELD)
    done = subprocess.run(
        [sys.executable, "solve.py", "my_model:make"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "solution 0: largest difference from the step's own 0\n" in done.stdout
    assert f"dL/d net.weight: largest {largest:.17g}" in done.stdout


EVENT = """
import torch

def event(t, y):
    return 0.7 - t + 0.1 * y[0, 0]
"""


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_a_script_poses_a_solve_to_an_event_again(tmp_path, interface):
    field = Field()
    with watch() as step:
        when, y = odeint_event(
            field,
            torch.tensor([[0.9, 0.1]]),
            torch.tensor(0.0),
            event_fn=lambda t, y: 0.7 - t + 0.1 * y[0, 0],
            odeint_interface=interface,
            rtol=1e-4,
        )
        (when + y[-1].square().sum()).backward()
    largest = float(field.net.weight.grad.abs().max())
    step.rows[0].save(tmp_path)
    (tmp_path / "my_model.py").write_text(FIELD + EVENT)
    done = subprocess.run(
        [sys.executable, "solve.py", "my_model:make", "my_model:event"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("largest difference from the step's own 0\n") == 2
    assert f"dL/d net.weight: largest {largest:.17g}" in done.stdout


def test_what_cannot_be_saved_is_refused(tmp_path):
    def field(t, y):
        raise RuntimeError("no field")

    with watch() as step, pytest.raises(RuntimeError, match="no field"):
        odeint(field, torch.ones(2), torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="cannot be saved"):
        step.rows[0].save(tmp_path)
