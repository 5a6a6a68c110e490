"""What a solver is too coarse to decide on a field of one's own is asked again, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from odecheck.claims.papers.node import parameter_gradient
from odecheck.judge import Verdict
from odecheck.mutants.derivatives import scaled
from odecheck.problem_sets.conformance import network
from odecheck.record import evaluate
from odecheck.runner import further
from odecheck.runner.case import Case
from odecheck.runner.further import evaluated
from odecheck.runner.own_fields import module_pairs
from odecheck.runner.presets import subjects
from odecheck.solvers import Adaptive


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, t, y):
        return self.net(y) * torch.cos(t)


@pytest.fixture(scope="module")
def pair():
    return module_pairs(Net(), torch.tensor([[1.0, 0.5]]))[0]


def opened(subject, problem, rtol):
    """The subject at a tolerance, and what it leaves open there, in units of what is asked for."""
    coarse = replace(subject, solver=Adaptive("dopri5", rtol=rtol))
    before = evaluate(parameter_gradient, coarse, problem, promises=False)
    assert before.verdict is Verdict.INCONCLUSIVE
    return coarse, before, before.resolved / before.resolution


def test_what_is_open_within_two_decades_is_decided_and_says_how(pair):
    subject, before, factor = opened(*pair, 1e-5)
    assert 1 < factor < 100
    record = Case(subject, pair[1], parameter_gradient).run()
    assert record.verdict is Verdict.HOLDS and record.resolved <= record.resolution < before.resolved
    assert record.key == before.key
    assert f"as {subject.solver.name} leaves it open" in record.message and f"{before.resolved:.1e}" in record.message


def test_a_wrong_one_that_is_too_coarse_to_be_seen_is_refuted(pair):
    subject, _, _ = opened(*pair, 1e-5)
    wrong = scaled("theta", 1 + 3e-5)(subject)
    assert evaluate(parameter_gradient, wrong, pair[1], promises=False).verdict is Verdict.INCONCLUSIVE
    assert evaluated(parameter_gradient, wrong, pair[1]).verdict is Verdict.REFUTED


def test_what_is_far_too_coarse_is_told_what_to_type_and_is_not_asked_again(pair, monkeypatch):
    subject, before, factor = opened(*pair, 1e-2)
    asked = []

    def noted(claim, of, problem, **how):
        asked.append((of.solver.rtol, how))
        return replace(before, decides="rtol=1e-06")

    monkeypatch.setattr(further, "evaluate", noted)
    assert factor > 100 and evaluated(parameter_gradient, subject, pair[1]).verdict is Verdict.INCONCLUSIVE
    assert asked == [(1e-2, {"promises": False}), (1e-2, {})]  # its promise is the last thing that is asked


@pytest.mark.parametrize("rtol", [1e-3, 1e-4])
def test_what_is_shipped_is_judged_at_its_own_tolerance(rtol):
    subject, problem = replace(subjects()[0], solver=Adaptive("dopri5", rtol=rtol)), network()
    before, record = (ask(parameter_gradient, subject, problem) for ask in (evaluate, evaluated))
    assert before.verdict is Verdict.INCONCLUSIVE and record.repeatable() == before.repeatable()
