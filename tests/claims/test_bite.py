"""A check without a mutant is not a check: every claim refutes every one of its mutants, for every engine.

And the other way round: the same claims hold for the right subject on the same problems, so that nothing is
refuted by a claim that refutes everything.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from odecheck_reference import Bounded, Problem, catalogue

from odecheck.claim import Claim, Mutant, claim
from odecheck.claims import ALL
from odecheck.claims.papers import node
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants.derivatives import scaled
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

ENGINES = {"backprop": Backprop(), "adjoint": Adjoint(), "closed": Closed(), "discrete": Discrete()}
SOLVERS = (Adaptive("dopri5", rtol=1e-7, land=True), FixedStep("midpoint", step=0.05))
PROBLEMS = catalogue.quick()
# claims about one family of models are bitten on problems of that family: test_claims_models
GENERAL = [c for c in ALL if c.id.startswith(("SOL", "NODE"))]


# a claim that an engine cannot be asked: it has no outputs between the ends of its steps
UNASKED = {("SOL-4", "discrete")}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in GENERAL for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant, engine: str) -> None:
    """On the first solver and problem on which it can; where nothing can be asked, that is known."""
    asked = False
    for problem, solver in product(PROBLEMS, SOLVERS):
        try:
            wrong = mutant(Subject(SHIPPED, solver, ENGINES[engine]))
        except NotApplicable:
            continue
        record = evaluate(claim, wrong, problem)
        assert record.verdict != Verdict.ERROR, record
        if record.verdict == Verdict.REFUTED:
            return
        asked |= record.verdict not in (Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE)
    assert not asked, f"{claim.id} does not see: {mutant.name}"
    assert (claim.id, engine) in UNASKED


@pytest.mark.parametrize("part", ["y0", "theta", "ts"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_defect_of_1e_8_is_refuted_at_tight_tolerances(part: str, engine: str) -> None:
    subject = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-12, land=True), ENGINES[engine])
    speaks = {"y0": node.adjoint_equation, "theta": node.parameter_gradient, "ts": node.time_gradient}[part]
    problem = PROBLEMS[0]
    right = evaluate(speaks, subject, problem)
    assert right.verdict == Verdict.HOLDS, right
    assert right.resolved < 1e-8, right
    wrong = evaluate(speaks, scaled(part, 1 + 1e-8)(subject), problem)  # type: ignore[arg-type]
    assert wrong.verdict == Verdict.REFUTED, wrong
    assert wrong.ratio == pytest.approx(1 + 1e-8, abs=1e-9)


def test_a_claim_without_mutants_is_refused() -> None:
    with pytest.raises(ValueError, match="has no mutant"):
        claim("X", source="", resolution=1.0, mutants=[])


def test_a_claim_without_words_is_refused() -> None:
    def silent(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        return Bounded(1.0), Bounded(1.0)

    with pytest.raises(ValueError, match="docstring"):
        claim("X", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])(silent)


def test_a_subject_that_is_too_coarse_is_inconclusive_not_green() -> None:
    coarse = Subject(SHIPPED, FixedStep("euler", step=0.05), Adjoint())
    record = evaluate(node.parameter_gradient, coarse, PROBLEMS[0])
    assert record.verdict == Verdict.INCONCLUSIVE, record


def test_an_expected_failure_is_strict() -> None:
    subject = Subject(SHIPPED, SOLVERS[0], Adjoint(), expected_failures={"NODE-2": "believed to fail"})
    record = evaluate(node.parameter_gradient, subject, PROBLEMS[0])
    assert record.verdict == Verdict.HOLDS
    assert not record.ok
    broken = replace(scaled("theta", -1.0)(subject), expected_failures=subject.expected_failures)
    assert evaluate(node.parameter_gradient, broken, PROBLEMS[0]).ok
