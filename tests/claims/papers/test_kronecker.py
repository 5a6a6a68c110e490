"""Claims about Kronecker curvature: they hold, they refute their mutants, and what is false literally comes out so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from odecheck_reference import Problem, catalogue
from odecheck_reference.fields import Mlp
from odecheck_reference.losses import SquaredError

from odecheck.claim import Claim, Mutant
from odecheck.claims import claims_of
from odecheck.claims.papers import kronecker
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.judge import Verdict
from odecheck.record import Record, evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = claims_of([kronecker])
BITTEN = CLAIMS
RK4 = FixedStep("rk4", step=0.05)
CLOSED, ADJOINT = Subject(SHIPPED, RK4, Closed()), Subject(SHIPPED, RK4, Adjoint())
BY_NAME = {p.name: p for p in catalogue.full()}


def network(widths: tuple[int, ...], batch: int, times: tuple[float, ...], seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    field = Mlp(2, 2, widths, time=True)
    y0, theta = rng.normal(size=(batch, 2)), 0.8 * rng.normal(size=field.params)
    shape = (len(times), batch, 2)
    loss = SquaredError(rng.uniform(0.5, 1.5, shape), rng.normal(size=shape))
    return Problem("network", field, y0, theta, np.array(times), loss)


NETWORK = network((3,), 2, (0.0, 0.5, 1.25))
# a long time and many samples: factors of full rank, far from singular
RICH = network((), 6, (0.0, 1.0, 4.0), seed=3)


def resting() -> Problem:
    """y' = 0 at an equilibrium, seen by one component: z and g do not change."""
    field = Mlp(2, 2, ())
    loss = SquaredError(np.array([[[0.0, 0.0]], [[1.0, 0.0]]]), np.zeros((2, 1, 2)))
    return Problem("resting", field, np.array([[1.0, -0.5]]), np.zeros(field.params), np.array([0.0, 1.5]), loss)


RESTING = resting()


def judged(claim: Claim, subject: Subject, problem: Problem) -> Record:
    record = evaluate(claim, subject, problem)
    assert record.verdict != Verdict.ERROR, record
    return record


@pytest.mark.parametrize("subject", [CLOSED, ADJOINT], ids=lambda s: s.name)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_right_engine_gets_the_verdict_that_is_expected(claim: Claim, subject: Subject) -> None:
    problem = RICH if claim is kronecker.step_is_invariant else NETWORK
    if problem is RICH:
        subject = replace(subject, solver=FixedStep("rk4", step=0.25))
    record = judged(claim, subject, problem)
    assert record.verdict == claim.expected(problem), record


@pytest.mark.parametrize(
    "solver", [Adaptive("dopri5", rtol=1e-7), Adaptive("dopri8", rtol=1e-8, land=True)], ids=lambda s: s.name
)
def test_with_steps_of_adaptive_methods(solver: Adaptive) -> None:
    for engine in (Closed(), Adjoint()):
        record = judged(kronecker.factors_are_time_integrals, Subject(SHIPPED, solver, engine), NETWORK)
        assert record.verdict == Verdict.HOLDS, record


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in CLAIMS for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant) -> None:
    """On a problem on which the right subject is not refuted."""
    problem = {kronecker.step_is_invariant.id: RICH, kronecker.block_is_a_kronecker_product.id: RESTING}.get(
        claim.id, NETWORK
    )
    right = replace(CLOSED, solver=FixedStep("rk4", step=0.25))
    assert judged(claim, right, problem).verdict != Verdict.REFUTED
    record = judged(claim, mutant(right), problem)
    assert record.verdict == Verdict.REFUTED, record


def test_the_kronecker_product_is_exact_under_its_condition_alone() -> None:
    claim = kronecker.block_is_a_kronecker_product
    assert claim.expected(RESTING) == Verdict.HOLDS
    assert judged(claim, CLOSED, RESTING).verdict == Verdict.HOLDS
    assert claim.expected(NETWORK) == Verdict.REFUTED


def test_engines_without_an_adjoint_solve_say_so() -> None:
    for engine in (Backprop(), Discrete()):
        record = judged(kronecker.factors_are_time_integrals, replace(CLOSED, engine=engine), NETWORK)
        assert record.verdict == Verdict.UNSUPPORTED and "no adjoint solve" in record.message
    adams = replace(ADJOINT, solver=FixedStep("implicit_adams", step=0.05))
    assert judged(kronecker.factors_are_time_integrals, adams, NETWORK).verdict == Verdict.UNSUPPORTED


@pytest.mark.parametrize("name", ["forced pendulum, backwards", "logistic"])
def test_a_field_without_layers_is_not_spoken_of(name: str) -> None:
    for claim in CLAIMS:
        assert judged(claim, CLOSED, BY_NAME[name]).verdict == Verdict.NOT_APPLICABLE
