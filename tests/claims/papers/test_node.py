"""NODE claims beyond what every engine is bitten with: the reference's two ways, and fields of a real size."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import catalogue
from torch import nn

from odecheck import HOLDS, REFUTED, SHIPPED, Adaptive, Adjoint, Subject
from odecheck.claims.find import found
from odecheck.claims.papers.node import adjoint_equals_sensitivities
from odecheck.mutants.derivatives import FORGOTTEN_OBSERVATION, scaled
from odecheck.record import evaluate
from odecheck.runner.own_fields import module_pairs
from odecheck.runner.validation import validate

BITTEN = (adjoint_equals_sensitivities,)
SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint())
PROBLEM = next(p for p in catalogue.quick() if p.field.params and p.field.state == 2)


def test_two_ways_of_the_reference_agree_on_a_right_field():
    record = evaluate(adjoint_equals_sensitivities, SUBJECT, PROBLEM)
    assert record.verdict is HOLDS, record
    assert record.resolved < 1e-9


@pytest.mark.parametrize("mutant", adjoint_equals_sensitivities.mutants, ids=lambda m: m.name)
def test_and_not_on_a_wrong_one(mutant):
    assert evaluate(adjoint_equals_sensitivities, mutant(SUBJECT), PROBLEM).verdict is REFUTED


class Wide(nn.Module):
    """21,008 parameters, 8 rows of 8 states: forward sensitivities would be 1.3 million numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(9, 136), nn.Tanh(), nn.Linear(136, 136), nn.Tanh(), nn.Linear(136, 8))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([y, t.expand(len(y), 1)], 1))


def test_the_first_derivative_of_a_wide_field_is_decided():
    _, (subject, problem) = module_pairs(Wide(), torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    validate(subject, problem)
    asked = found(["SOL-2", "NODE-1", "NODE-2", "NODE-3", "NODE-4"])
    for claim in asked:
        record = evaluate(claim, subject, problem)
        assert record.verdict is HOLDS, record
        assert record.resolved < 1e-6
    wrong = [(1, FORGOTTEN_OBSERVATION), (2, scaled("theta", 1.0002)), (3, scaled("ts", 1.0002))]
    for at, mutant in wrong:
        assert evaluate(asked[at], mutant(subject), problem).verdict is REFUTED, mutant.name
