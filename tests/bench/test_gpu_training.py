"""A step of SNOpt as the GPU suite measures it: what the optimizer itself makes of the same gradients."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq

from odecheck.bench import gpu_plan
from odecheck.bench.gpu_step import StepEngine
from odecheck.bench.gpu_training import RATE, SnoptStep
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.optim import SNOpt
from odecheck.solvers import Adaptive

HOW = Adaptive("dopri5", rtol=1e-5, land=True)


@pytest.fixture
def at():
    field = gpu_plan.Network(2, 4).double()
    return field, HOW, torch.ones(3, 2, dtype=torch.float64), torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)


def expected(field, _, y0, ts, refresh):
    """Two steps of training, the second one at the parameters of the first."""
    own = SNOpt(field, refresh=1 if refresh else 100)
    for _ in range(2):
        field.zero_grad()
        options = {"step_t": ts}
        states = torchdiffeq.odeint_adjoint(field, y0, ts, method="dopri5", rtol=1e-5, atol=1e-7, options=options)
        gpu_plan.loss(states).backward()  # type: ignore[arg-type]
        own.step()
    return torch.cat([p.grad.reshape(-1) for p in field.parameters()])


@pytest.mark.parametrize("refresh", [False, True])
def test_it_is_a_step_of_the_optimizer(at, refresh):
    step, before = SnoptStep(Adjoint(), refresh), [p.detach().clone() for p in at[0].parameters()]
    found = step(*at, gpu_plan.loss)
    moved = [(b - p).reshape(-1) for b, p in zip(before, at[0].parameters(), strict=True)]
    assert (torch.cat(moved) - RATE * found).abs().max() < 1e-14
    again = step(*at, gpu_plan.loss)  # from the same parameters; the running average has moved on
    assert (again - found).abs().max() > 0 or refresh
    true = expected(gpu_plan.Network(2, 4).double(), *at[1:], refresh)
    assert (found - true).abs().max() < 1e-12 * true.abs().max()


def test_gradients_of_one_step_on_the_device_are_preconditioned_alike(at):
    fields = gpu_plan.Network(2, 4).double(), at[0]  # a step moves the parameters
    engines = StepEngine(), Adjoint()
    ours, theirs = (SnoptStep(by)(one, *at[1:], gpu_plan.loss) for by, one in zip(engines, fields, strict=True))
    # the one differentiates steps, the other is solved to the tolerance
    assert 0 < (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()
