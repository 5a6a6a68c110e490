"""The budget of a watched step bounds all that is asked about it. Time passes here with each look at the clock.

Every evaluation of a field looks once, so what is counted are the evaluations of all stages, on any machine.
"""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from torch import nn
from torchdiffeq import odeint_adjoint

from odecheck import watch
from odecheck.watching import judged
from odecheck.watching.row import State


def watched(budget: float):
    """A latent ODE with many output times, watched, and not yet judged."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
    y0 = torch.randn(3, 4, requires_grad=True)
    with watch(budget=budget) as step:
        odeint_adjoint(net_of(net), y0, torch.linspace(0, 1, 30), rtol=1e-4, atol=1e-5).square().mean().backward()
    return step


def net_of(net: nn.Module):
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t, y):
            return self.net(y)

    return Field()


def spent(step, monkeypatch: pytest.MonkeyPatch) -> int:
    """Looks at the clock until the step is judged."""
    looks = itertools.count()
    with monkeypatch.context() as patched:
        patched.setattr(time, "process_time", lambda: float(next(looks)))
        assert step.rows
    return next(looks)


# how many looks each stage may have beyond the end: it begins once more, to say why it stops
ENDS = 10


def test_the_budget_bounds_every_stage(monkeypatch):
    step = watched(float("inf"))
    whole = spent(step, monkeypatch)
    assert step.rows[0].verdict == "holds" and step.rows[0].not_asked == []
    for share in (0.001, 0.01, 0.03, 0.2, 0.6):
        step = watched(share * whole)
        assert spent(step, monkeypatch) <= share * whole + ENDS
        row = step.rows[0]
        assert row.state is not State.JUDGED and "budget" in row.reason and row.verdict == "inconclusive"


def test_what_the_truth_leaves_no_time_for_is_said_and_is_not_green(monkeypatch):
    whole = spent(watched(float("inf")), monkeypatch)
    monkeypatch.setattr(judged, "TRUTH", 1.0)
    promises, around = "what its tolerance promises", "what may be wrong around it"
    for share, words in ((0.85, [promises, around]), (0.985, [around])):
        step = watched(share * whole)
        assert spent(step, monkeypatch) <= share * whole + ENDS
        row, records = step.rows[0], {r.claim: r.verdict.value for r in step.check()}
        assert (row.state, row.verdict.value, row.not_asked) == (State.JUDGED, "inconclusive", words)
        assert records["WATCH-5"] == "inconclusive" and "not asked: what" in str(step)
        assert records["WATCH-1"] == ("inconclusive" if promises in words else "holds")
        assert all("budget" in r.decides for r in step.check() if r.verdict.value == "inconclusive")


@pytest.mark.parametrize("budget", ["3", None, -1, float("nan")])
def test_a_budget_that_is_no_number_of_seconds_is_refused_before_the_step(budget):
    with pytest.raises(ValueError, match="budget=60"):
        watch(budget=budget)
