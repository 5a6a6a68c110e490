"""The truth of a solve lies within its bars, or its budget is said to be used up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference.path import OutOfBudget
from torchdiffeq import odeint

from odecheck.watching import settle as settle_module
from odecheck.watching.field64 import in_double
from odecheck.watching.settle import settle
from odecheck.watching.step import watch

from .linear_call import exact, linear


@pytest.mark.parametrize("aim", [1e-4, 1e-8])
def test_the_truth_lies_within_its_bars(aim):
    times = (0.0, 0.7, 1.5)
    call, cotangent = linear(times)
    y, dy0, dt, dA = exact(times, cotangent)
    with in_double(call) as f:
        found = settle(f, lambda now: dict.fromkeys(now.bars, aim), rtol=1e-3, seconds=20)
    name = next(iter(found.answer.theta))
    for key, value in {"solution": y, "dL/dy0": dy0, "dL/dt": dt, name: dA}.items():
        assert np.abs(found.parts()[key] - value).max() <= found.bars[key] <= aim


def test_a_deadline_is_kept():
    call, _ = linear((0.0, 1.0))
    with in_double(call) as f, pytest.raises(OutOfBudget):
        settle(f, lambda now: dict.fromkeys(now.bars, 0.0), rtol=1e-3, seconds=0.0)


@pytest.mark.parametrize(
    ("act", "family"), [("ReLU", "RK4, steps halved"), ("Tanh", "Radau IIA, implicit, steps halved")]
)
def test_kinks_that_stop_an_explicit_family_are_no_stiffness(act, family, monkeypatch):
    monkeypatch.setattr(settle_module, "MOST", 60)  # evaluations: explicit steps do not get far
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), getattr(torch.nn, act)(), torch.nn.Linear(8, 3)).double()
    with watch() as step:
        start, times = torch.ones(2, 3, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
        odeint(lambda t, y: net(y), start, times, rtol=1e-4)[-1].sum().backward()
    with in_double(step.calls[0]) as f:
        found = settle(f, lambda now: dict.fromkeys(now.bars, 1e-2), rtol=1e-4, seconds=20)
    assert found.family == family
