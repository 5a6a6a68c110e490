"""One step whose control is on the device: the steps, and the gradient, of the recorded ones."""

from __future__ import annotations

import pytest
import torch

from odecheck import discrete
from odecheck.bench import gpu_plan, gpu_step
from odecheck.bench.gpu_step import StepEngine
from odecheck.discrete.stepping import Control
from odecheck.errors import Unsupported
from odecheck.instruments.step_counts import evaluations
from odecheck.solvers import Adaptive, FixedStep

TS = torch.tensor([0.0, 0.7, 3.0], dtype=torch.float64)


class Forced(gpu_plan.Network):
    """A field that depends on time, with steps that are refused."""

    def forward(self, t, y):
        return torch.sin(6 * t) * super().forward(t, y) + torch.cos(9 * t)


@pytest.fixture
def posed():
    return Forced(2, 4).double(), torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)


def compared(module, y0, rtol=1e-6):
    """How far a gradient by one step is from that of the recorded steps, and evaluations: its own count, seen."""
    by, solver = StepEngine(), Adaptive("dopri5", rtol=rtol)
    with evaluations(module) as seen:
        found = by.gradient(module, solver, y0, TS, gpu_plan.loss)
    steps = discrete.record(module, y0, TS, rtol=rtol, atol=rtol / 100)
    true = discrete.gradient(steps, gpu_plan.loss)
    theta = torch.cat([g.reshape(-1) for g in true.theta.values()])
    off = [(a - b).abs().max() / b.abs().max() for a, b in ((found.y0, true.y0), (found.theta, theta))]
    return float(max(off)), by.nfe, seen.nfe


def test_steps_and_gradient_are_those_of_the_recorded_ones(posed):
    off, own, seen = compared(*posed)
    assert off < 1e-11 and sum(own) == seen
    assert own[0] > own[1] + 2  # steps were refused on the way
    assert torch.equal(posed[1], torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64))


@pytest.mark.parametrize("wrong", [{"safety": 0.8}, {"dfactor": 0.95}, {"ifactor": 1.05}])
def test_another_control_is_seen(posed, monkeypatch, wrong):
    right = Control.of
    monkeypatch.setattr(gpu_step.Control, "of", lambda r, a, o: right(r, a, {**o, **wrong}))
    by = StepEngine()
    by.solution(posed[0], Adaptive("dopri5", rtol=1e-6), posed[1], TS)
    monkeypatch.undo()
    with evaluations(posed[0]) as seen:
        discrete.record(*posed, TS, rtol=1e-6, atol=1e-8)
    assert by.nfe[0] != seen.nfe


def test_a_second_solve_begins_anew(posed):
    by, solver = StepEngine(), Adaptive("dopri5", rtol=1e-6)
    first = by.gradient(*(posed[0], solver, posed[1], TS, gpu_plan.loss))
    again = by.gradient(*(posed[0], solver, posed[1], TS, gpu_plan.loss))
    assert torch.equal(first.theta, again.theta) and torch.equal(first.y0, again.y0)


def test_what_it_does_not_step_is_refused_and_a_nan_ends(posed):
    with pytest.raises(Unsupported, match="dopri5"):
        StepEngine().solution(posed[0], FixedStep("rk4", step=0.1), posed[1], TS)
    with pytest.raises(FloatingPointError, match="no end"):
        StepEngine().solution(posed[0], Adaptive("dopri5", rtol=1e-6), posed[1] * float("nan"), TS)
