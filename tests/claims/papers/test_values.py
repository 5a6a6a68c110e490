"""SOL-1.2 to SOL-1.5: right fields hold on every shipped problem, and in both directions of time; lies are refuted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue

from odecheck import HOLDS, REFUTED, SHIPPED, Adaptive, Adjoint, Subject, module_pairs
from odecheck.claims.papers import values
from odecheck.judge import Verdict
from odecheck.record import evaluate

SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint())
CLAIMS = (
    values.reverse_mode_is_of_the_values,
    values.field_is_a_function,
    values.second_derivatives_are_of_the_values,
    values.forward_mode_is_of_the_values,
)
BITTEN = CLAIMS


@pytest.mark.parametrize("problem", catalogue.full(), ids=lambda problem: problem.name)
def test_every_shipped_field_holds(problem):
    for claim in CLAIMS:
        record = evaluate(claim, SUBJECT, problem)
        assert record.verdict is HOLDS, record
        assert record.resolved < (1e-5 if claim.id == "SOL-1.4" else 2e-9)


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in CLAIMS for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim, mutant):
    """A field is asked whatever solves it: one engine will do."""
    for problem in catalogue.quick():
        record = evaluate(claim, mutant(SUBJECT), problem)
        assert record.verdict != Verdict.ERROR, record
        if record.verdict is REFUTED:
            return
    pytest.fail(f"{claim.id} does not see: {mutant.name}")


class Field(torch.nn.Module):
    """Right, but for a window of time in which the weight is detached."""

    def __init__(self, begin: float, end: float) -> None:
        super().__init__()
        self.begin, self.end = begin, end
        self.weight = torch.nn.Parameter(torch.tensor([[0.3, -1.0], [0.8, 0.1]]))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        weight = self.weight.detach() if self.begin < t < self.end else self.weight
        return torch.tanh(y @ weight.T) * torch.cos(t) + 0 * self.weight.sum()


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)])
@pytest.mark.parametrize("begin", np.random.default_rng(0).uniform(0.05, 0.9, 3).round(3))
def test_a_window_between_the_outputs_is_refuted(begin, times):
    wrong, right = (
        module_pairs(Field(begin, end), torch.tensor([[1.0, 0.5]]), times)[0] for end in (begin + 0.04, begin)
    )
    claim = values.reverse_mode_is_of_the_values
    assert evaluate(claim, *wrong).verdict is REFUTED
    assert evaluate(claim, *right).verdict is HOLDS


def test_a_module_that_was_changed_is_asked_anew():
    """What was seen is kept for shipped fields alone."""
    net = Field(2.0, 2.0)
    (subject, problem), *_ = module_pairs(net, torch.tensor([[1.0, 0.5]]))
    claim = values.reverse_mode_is_of_the_values
    assert evaluate(claim, subject, problem).verdict is HOLDS
    inner = subject.field.module.inner  # type: ignore[union-attr]
    inner.begin, inner.end = 0.1, 0.3
    assert evaluate(claim, subject, problem).verdict is REFUTED
