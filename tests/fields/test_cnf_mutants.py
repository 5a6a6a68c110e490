"""Wrong continuous normalizing flows: the checks of the right ones refute each."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from odecheck.fields.cnf import CNF
from odecheck.solvers import FixedStep
from tests.fields.test_cnf import (
    check_change_is_the_determinant,
    check_flow_is_undone,
    check_gradient,
    check_noise_is_unbiased,
    check_total_probability,
    check_two_solves_before_one_backward,
)


@pytest.fixture(autouse=True)
def seeded(in_float64: None) -> None:
    torch.manual_seed(0)


class FlippedTrace(CNF):
    def forward(self, x):
        z, change = super().forward(x)
        return z, -change


class ScaledTrace(CNF):
    def forward(self, x):
        z, change = super().forward(x)
        return z, 1.001 * change


class NoNormalisation(CNF):
    def log_prob(self, x):
        return super().log_prob(x) + math.log(2 * math.pi)


class ForwardInTime(CNF):
    """Data to noise in the wrong direction of time: a density all the same, and the inverse is the same map."""

    def forward(self, x):
        return self._solve(x, self.span)


class PositiveNoise(CNF):
    def _noise(self, x):
        return torch.randint_like(x, 2)


class SharedSigns(CNF):
    """One sign for a whole row: all of S, not its trace."""

    def _noise(self, x):
        return (torch.randint_like(x[:, :1], 2) * 2 - 1).expand_as(x)


class WideNoise(CNF):
    def _noise(self, x):
        return 1.02 * torch.randn_like(x)


class LastNoise(CNF):
    """Keeps the noise on the module: a backward pass replays that of the last solve."""

    def _noise(self, x):
        fresh = super()._noise(x)
        if not hasattr(self, "kept"):
            self.kept = torch.empty_like(x)
        return self.kept.copy_(fresh)


class NewNoise(CNF):
    """Draws noise for each evaluation."""

    def _solve(self, x, span):
        class Drawn(nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, t, state):
                return self.inner(t, state, torch.randint_like(state[:, :-1], 2) * 2 - 1)

        times = torch.tensor(span)
        start = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        end = FixedStep("rk4", 0.1).solve(self.odeint, Drawn(self.field), start, times)[-1]
        return end[:, :-1], end[:, -1]


class CutTrace(CNF):
    """The divergence as a constant, as if it did not depend on the parameters."""

    def forward(self, x):
        z, change = super().forward(x)
        return z, change.detach()


MUTANTS = {
    "flipped trace, total": (lambda: check_total_probability(FlippedTrace)),
    "scaled trace, total": (lambda: check_total_probability(ScaledTrace)),
    "no normalisation": (lambda: check_total_probability(NoNormalisation)),
    "flipped trace, determinant": (lambda: check_change_is_the_determinant(FlippedTrace)),
    "scaled trace, determinant": (lambda: check_change_is_the_determinant(ScaledTrace)),
    "forward in time": (lambda: check_flow_is_undone(ForwardInTime)),
    "positive noise": (lambda: check_noise_is_unbiased(PositiveNoise, "rademacher")),
    "one sign for a row": (lambda: check_noise_is_unbiased(SharedSigns, "rademacher")),
    "wide noise": (lambda: check_noise_is_unbiased(WideNoise, "gaussian")),
    "noise of the last solve": (lambda: check_two_solves_before_one_backward(LastNoise)),
    "new noise at each evaluation": (lambda: check_gradient(NewNoise, "rademacher")),
    "trace cut off": (lambda: check_gradient(CutTrace, "exact")),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_wrong_flows_are_refuted(name: str) -> None:
    with pytest.raises(AssertionError):
        MUTANTS[name]()
