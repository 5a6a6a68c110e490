"""One's own tolerance: a number with a bar, and a verdict on what the tolerance promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from odecheck_reference import Problem, catalogue

from odecheck.claim import Claim
from odecheck.claims.shared import promises
from odecheck.claims.shared.own_tolerance import CLAIMS
from odecheck.engines.own import Discrete
from odecheck.engines.torchdiffeq import Backprop
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.runner.own_fields import module_pairs
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

PROBLEM = catalogue.quick()[0]


class Wide(torch.nn.Module):
    """74 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 12), torch.nn.Tanh(), torch.nn.Linear(12, 2))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([y, t.expand(len(y), 1)], 1))


RIGHT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Discrete())


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_right_solve_keeps_its_promise_and_wrong_ones_break_it(claim: Claim) -> None:
    record = evaluate(claim, RIGHT, PROBLEM)
    assert record.verdict == Verdict.HOLDS, record
    assert 0 < record.observed < 1e-5 < record.bar < 0.1
    for mutant in claim.mutants:
        assert evaluate(claim, mutant(RIGHT), PROBLEM).verdict == Verdict.REFUTED, mutant.name


def test_a_loose_tolerance_is_judged_where_its_promise_says_something() -> None:
    loose = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-3), Backprop())
    solve, *_, times = (evaluate(claim, loose, PROBLEM) for claim in CLAIMS)
    assert solve.verdict == Verdict.HOLDS and 1e-5 < solve.observed < 1e-2 < solve.bar
    assert times.verdict == Verdict.INCONCLUSIVE and "a tighter tolerance" in times.decides


@pytest.mark.parametrize("solver", [FixedStep("rk4", step=0.1), Adaptive("dopri8", rtol=1e-6)])
def test_what_promises_nothing_is_not_asked(solver) -> None:
    assert evaluate(CLAIMS[0], Subject(SHIPPED, solver, Backprop()), PROBLEM).verdict == Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_second_derivatives_are_asked_of_more_unknowns_than_they_are_worth(claim, monkeypatch) -> None:
    def dear(problem: Problem) -> None:
        raise AssertionError(f"a Hessian of {problem.name}")

    monkeypatch.setattr(promises, "hessian", dear)
    torch.manual_seed(0)
    (subject, problem), *_ = module_pairs(Wide(), torch.ones(2, 2))
    assert problem.y0.size + problem.theta.size > promises.HESSIAN
    record = evaluate(claim, replace(subject, solver=Adaptive("dopri5", rtol=1e-7)), problem)
    assert record.verdict == (Verdict.HOLDS if claim.id == "OWN-1" else Verdict.NOT_APPLICABLE), record
