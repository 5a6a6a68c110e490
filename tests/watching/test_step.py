"""A watched step: begun again and again, its budget, and more than one backward pass."""

from __future__ import annotations

import pytest
import torch
from torchdiffeq import odeint, odeint_adjoint

import odecheck
from odecheck.watching.step import watch

from .right_models import MODELS


def test_the_public_name_can_be_called_again_and_again():
    for _ in range(2):
        with odecheck.watch() as step:
            odeint(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]))
        assert len(step.calls) == 1
    with pytest.raises(ValueError, match="every=500"):
        odecheck.watch(every=0)


def test_a_budget_that_is_used_up_leaves_rows_not_asked():
    torch.manual_seed(0)
    run = MODELS["ode_rnn"]()
    with watch(budget=0.0) as step:
        run()
    assert {row.verdict for row in step.rows} == {odecheck.INCONCLUSIVE}
    assert "not asked" in str(step)
    assert all(r.verdict is odecheck.INCONCLUSIVE and not r.ok for r in step.check())


def test_a_second_backward_is_added_up():
    weight = torch.tensor(0.7, requires_grad=True)
    with watch() as step:
        y = odeint_adjoint(lambda t, y: -weight * y, torch.ones(3), torch.tensor([0.0, 1.0]), adjoint_params=(weight,))
        y[-1].sum().backward(retain_graph=True)
        (2 * y[-1].sum()).backward()
    assert step.findings == []
    assert step.rows[0].verdict is odecheck.HOLDS
    assert step.calls[0].cotangent is not None
    assert torch.equal(step.calls[0].cotangent[0][-1], torch.full((3,), 3.0))
