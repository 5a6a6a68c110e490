"""Claims about parameters are asked of a user's model that has frozen ones as well, or frozen ones alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck import check, module_pairs
from odecheck.judge import Verdict
from odecheck.mutants import graph as broken


class Partly(nn.Module):
    """Two layers, of which the first is frozen."""

    def __init__(self, *, all_frozen: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(2, 3).double(), nn.Linear(3, 2).double()
        (self if all_frozen else self.first).requires_grad_(False)

    def forward(self, t, y):
        return self.second(torch.tanh(self.first(y)))


def subject_and_problem(all_frozen: bool = False):
    return module_pairs(Partly(all_frozen=all_frozen), [[0.5, -0.75]])[0]


IDS = ("DER-10", "DER-11", "DER-12", "DER-15", "DER-16", "DER-21", "USE-1")


def test_beside_frozen_parameters_claims_hold() -> None:
    records = check([subject_and_problem()], claims=IDS)
    assert {record.claim: record.verdict for record in records} == dict.fromkeys(IDS, Verdict.HOLDS)


def test_beside_frozen_parameters_mutants_are_refuted() -> None:
    subject, problem = subject_and_problem()
    for mutant in (broken.FROZEN_GETS_ZERO, broken.FROZEN_STOPS_OTHERS):
        (record,) = check([(mutant(subject), problem)], claims="DER-10", validate=False)
        assert record.verdict == Verdict.REFUTED, mutant.name


@pytest.mark.parametrize("id", ["DER-10", "DER-11", "DER-21"])
def test_of_frozen_parameters_alone(id: str) -> None:
    (record,) = check([subject_and_problem(all_frozen=True)], claims=id)
    assert record.verdict == (Verdict.NOT_APPLICABLE if id == "DER-10" else Verdict.HOLDS), record
