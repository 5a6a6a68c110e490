"""SOL-1.1: derivatives that are not those of the values are found, with and without a second formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, catalogue
from odecheck_reference.losses import SquaredError

from odecheck import HOLDS, REFUTED, SHIPPED, Adaptive, Adjoint, Subject
from odecheck.claims.papers.field import derivatives_are_of_the_values
from odecheck.record import evaluate
from odecheck.runner.own_fields import module_pairs

SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint())
FULL = {problem.name: problem for problem in catalogue.full()}


@pytest.mark.parametrize("name", FULL)
def test_every_shipped_field_holds_and_its_detached_copy_does_not(name):
    record = evaluate(derivatives_are_of_the_values, SUBJECT, FULL[name])
    assert record.verdict is HOLDS, record
    assert record.resolved < 1e-9
    mutants = {mutant.name: mutant for mutant in derivatives_are_of_the_values.mutants}
    wrong = mutants["state detached by one per cent"](SUBJECT)
    assert evaluate(derivatives_are_of_the_values, wrong, FULL[name]).verdict is REFUTED


class Detached(torch.nn.Module):
    """Solves right and trains wrong; no second formula is there to say so."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by
        self.weight = torch.nn.Parameter(torch.tensor([[0.3, -1.0], [0.8, 0.1]]))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh((y + self.by * (y.detach() - y)) @ self.weight.T) * torch.cos(t)


@pytest.mark.parametrize(("by", "verdict"), [(0.0, HOLDS), (1e-5, REFUTED), (1.0, REFUTED)])
def test_a_model_without_a_twin_is_found_out(by, verdict):
    (subject, problem), *_ = module_pairs(Detached(by), torch.tensor([[1.0, 0.5], [0.2, -0.3]]))
    assert not problem.independent
    record = evaluate(derivatives_are_of_the_values, subject, problem)
    assert record.verdict is verdict, record


def test_at_a_kink_nothing_is_said():
    """ReLU at zero: the mean of both slopes is no derivative, and torch's choice of zero is no defect."""

    class Kinked(torch.nn.Module):
        def __init__(self, theta: torch.Tensor) -> None:
            super().__init__()
            self.theta = torch.nn.Parameter(theta)

        def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.relu(y @ self.theta[:1].reshape(1, 1)) + self.theta[1] * y

    from odecheck_reference.fields import Linear

    at_rest = Problem(
        "at rest",
        Linear(1),
        np.zeros((1, 1)),
        np.array([1.0, 0.0]),
        np.array([0.0, 1.0]),
        SquaredError(np.ones((2, 1, 1)), np.zeros((2, 1, 1))),
    )
    kinked = Subject(Kinked, Adaptive("dopri5", rtol=1e-8), Adjoint())
    record = evaluate(derivatives_are_of_the_values, kinked, at_rest)
    assert record.verdict == "inconclusive", record
