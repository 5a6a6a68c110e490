"""What a stranger hands to `check` in place of subjects, problems and claims is refused, with what to type."""

from __future__ import annotations

import pytest
import torch

import odecheck
from odecheck import SHIPPED, Adaptive, Adjoint, BadInput, Subject

FIELD, STATE = torch.nn.Linear(1, 1), torch.ones(1, 1)
SUBJECT, (PROBLEM, *_) = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Adjoint()), odecheck.problems()


@pytest.mark.parametrize(
    ("subjects", "problems", "claims"),
    [
        (None, PROBLEM, "SOL-2"),
        (FIELD, PROBLEM, "SOL-2"),
        ((FIELD, STATE), PROBLEM, "SOL-2"),
        ([(FIELD, STATE)], PROBLEM, "SOL-2"),
        ("ok.py:subjects", PROBLEM, "SOL-2"),
        (["ok.py:subjects"], PROBLEM, "SOL-2"),
        (3, PROBLEM, "SOL-2"),
        ([()], PROBLEM, "SOL-2"),
        ([], PROBLEM, "SOL-2"),
        (PROBLEM, SUBJECT, "SOL-2"),
        ([(SUBJECT, "pendulum")], None, "SOL-2"),
        (SUBJECT, "pendulum", "SOL-2"),
        (SUBJECT, [], "SOL-2"),
        (SUBJECT, 3, "SOL-2"),
        (Subject(SHIPPED, "dopri5", Adjoint()), PROBLEM, "SOL-2"),  # type: ignore[arg-type]
        (Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), "adjoint"), PROBLEM, "SOL-2"),  # type: ignore[arg-type]
        (SUBJECT, PROBLEM, 3),
        (SUBJECT, PROBLEM, [3]),
        (SUBJECT, PROBLEM, None),
    ],
)
def test_something_else_is_refused_in_words(subjects, problems, claims):
    with pytest.raises(BadInput) as refused:
        odecheck.check(subjects, problems, claims)
    assert "odecheck." in refused.value.fix or "claims=" in refused.value.fix


def test_generators_are_taken():
    records = odecheck.check((one for one in [SUBJECT]), (one for one in [PROBLEM]), (one for one in ["SOL-9"]))
    assert [record.claim for record in records] == ["SOL-9"] and records.ok
