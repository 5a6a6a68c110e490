"""The jet of a module, which SOL-1 compares; the claims are bitten in tests/claims/test_bite.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue
from torch import nn

from odecheck.claims.papers.solution import module_jet, silent
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED, Subject


@pytest.mark.parametrize("problem", catalogue.quick(), ids=lambda p: p.name)
def test_the_jet_of_a_twin_is_that_of_the_formula(problem):
    module = Subject(SHIPPED, FixedStep(), Backprop()).module(problem)
    t, y = float(problem.ts[0]), problem.y0
    true = problem.field.jet(t, y, problem.theta, 1)
    got = module_jet(module, t, y)
    np.testing.assert_allclose(got[..., 0], true.value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got[..., 1:], true.first, rtol=1e-11, atol=1e-12)


def test_a_field_without_derivatives_has_a_jet_of_zeros():
    class Still(nn.Module):
        def forward(self, t, y):
            return torch.ones_like(y)

    assert module_jet(Still(), 0.0, np.ones((2, 3))).sum() == 6.0


def test_a_silent_loss_looks_at_nothing():
    problem = catalogue.quick()[0]
    loss = silent(problem, 2)
    assert not loss.gradient(np.ones((2, *problem.y0.shape))).any()
