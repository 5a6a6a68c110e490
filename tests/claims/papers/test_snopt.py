"""Claims about second derivatives: they hold, they refute their mutants, and what is false literally comes out so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from odecheck_reference import Problem, catalogue, gauss_newton, hessian, solution
from odecheck_reference.losses import SquaredError

from odecheck.claim import Claim, Mutant
from odecheck.claims import claims_of
from odecheck.claims.papers import snopt
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.judge import Verdict
from odecheck.record import Record, evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = claims_of([snopt])
BITTEN = CLAIMS
CLOSED = Subject(SHIPPED, FixedStep("rk4", step=0.05), Closed())
DISCRETE = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Discrete())
BY_NAME = {p.name: p for p in catalogue.full()}
PENDULUM, LOGISTIC = BY_NAME["forced pendulum, backwards"], BY_NAME["logistic"]
LINEAR = BY_NAME["linear with time"]
LOTKA = BY_NAME["Lotka-Volterra"].with_(ts=np.array([0.0, 0.25, 0.5]))
PROBLEMS = (PENDULUM, LINEAR, LOGISTIC)
ADAPTIVE = replace(CLOSED, solver=Adaptive("dopri5", rtol=1e-4))


def closed(claim: Claim) -> Subject:
    """The subject for a claim: adaptive where only that is spoken of."""
    return ADAPTIVE if claim is snopt.memory_is_flat else CLOSED


def judged(claim: Claim, subject: Subject, problem: Problem) -> Record:
    record = evaluate(claim, subject, problem)
    assert record.verdict != Verdict.ERROR, record
    return record


@pytest.mark.parametrize("problem", [PENDULUM, LOGISTIC, LINEAR, LOTKA], ids=lambda p: p.name)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_right_engine_gets_the_verdict_that_is_expected(claim: Claim, problem: Problem) -> None:
    record = judged(claim, closed(claim), problem)
    assert record.ok, record
    assert record.verdict in (claim.expect, Verdict.NOT_APPLICABLE), record


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in CLAIMS for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant) -> None:
    verdicts = []
    right = closed(claim)
    coarse = right if right is ADAPTIVE else replace(right, solver=FixedStep("rk4", step=0.125))
    for problem in PROBLEMS:
        verdicts.append(judged(claim, mutant(coarse), problem).verdict)
        if verdicts[-1] == Verdict.REFUTED:
            return
    pytest.fail(f"{claim.id} does not see: {mutant.name} ({verdicts})")


def test_the_discrete_engine_has_the_hessian_of_the_flow_in_its_limit() -> None:
    for claim in (snopt.second_order_adjoint, snopt.hessian_is_symmetric):
        assert judged(claim, DISCRETE, PENDULUM).verdict == Verdict.HOLDS


def test_an_engine_without_second_derivatives_says_so() -> None:
    record = judged(snopt.second_order_adjoint, replace(CLOSED, engine=Adjoint()), PENDULUM)
    assert record.verdict == Verdict.UNSUPPORTED
    assert "no second derivatives" in record.message


def test_gauss_newton_is_the_hessian_where_the_adjoint_is_zero_and_nowhere_else() -> None:
    met = solution(LOGISTIC).value
    no_residual = LOGISTIC.with_(loss=SquaredError(np.ones_like(met), met))
    assert judged(snopt.gauss_newton_is_the_hessian, CLOSED, LOGISTIC).verdict == Verdict.REFUTED
    assert judged(snopt.gauss_newton_is_the_hessian, CLOSED, no_residual).verdict == Verdict.HOLDS
    gap = np.linalg.norm(hessian(LOGISTIC).value - gauss_newton(LOGISTIC).value)
    assert gap > 0.05 * np.linalg.norm(hessian(LOGISTIC).value)
