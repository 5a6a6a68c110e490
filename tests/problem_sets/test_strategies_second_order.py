"""No claim about second derivatives refutes a correct engine on any drawn problem.

Whole Hessians cost; `--odecheck-profile deep` draws many more.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, event, given, note, settings
from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims.papers import layers, snopt
from odecheck.engines.own import Closed, Discrete
from odecheck.judge import Verdict
from odecheck.problem_sets.strategies import problems, reproducer
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLOSED = Subject(SHIPPED, FixedStep("rk4", step=0.05), Closed())
DISCRETE = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete())
SHARE = settings.default.max_examples // 40  # type: ignore[union-attr]
CHEAP = [
    (DISCRETE, snopt.second_order_adjoint),
    (DISCRETE, snopt.hessian_is_symmetric),
    (DISCRETE, layers.layer_factors),
    (CLOSED, snopt.low_rank_factors),
]
DEAR = [(CLOSED, snopt.second_order_adjoint), (CLOSED, snopt.gauss_newton_form), (CLOSED, snopt.horizon)]


def named(cases):
    return [pytest.param(s, c, id=f"{c.id}-{s.engine.name}") for s, c in cases]


def confirm(subject: Subject, claim: Claim, problem: Problem) -> None:
    assume(problem.y0.size + problem.field.params <= 16)
    record = evaluate(claim, subject, problem)
    event(record.verdict)
    if record.verdict in (Verdict.REFUTED, Verdict.ERROR):
        note(str(record))
        note(reproducer(problem))
        pytest.fail(f"{claim.id} gives a false alarm")


@pytest.mark.parametrize(("subject", "claim"), named(CHEAP))
@settings(max_examples=max(20, 4 * SHARE))
@given(problem=problems())
def test_no_claim_refutes_a_correct_engine(subject, claim, problem):
    confirm(subject, claim, problem)


@pytest.mark.parametrize(("subject", "claim"), named(DEAR))
@settings(max_examples=max(4, SHARE))
@given(problem=problems())
def test_no_claim_refutes_the_equations_backwards_in_time(subject, claim, problem):
    confirm(subject, claim, problem)
