"""Expected to be refuted is no hiding place: where a claim is false, a right subject is off by what it predicts.

Any other residual is a refutation of the subject, and no row that is as expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from odecheck_reference import Bounded, Problem, catalogue

from odecheck.claim import Claim, Mutant, claim
from odecheck.claims.find import found
from odecheck.claims.papers import snopt
from odecheck.engines.own import Closed, Discrete
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants import second_order as wrong
from odecheck.problem_sets.families import draw, families_of
from odecheck.record import Record, evaluate
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

FALSE = [one for one in found("all") if one.predicted is not None]


def refuted(claim: Claim) -> Iterator[tuple[Subject, Problem]]:
    """Right subjects and problems on which the claim is false and refuted."""
    second = claim.family.speaks_of == "second derivatives"
    right = Subject(SHIPPED, Adaptive("dopri8" if second else "dopri5", rtol=1e-7, land=second), Discrete())
    right = replace(right, engine=Closed()) if second else right
    every = (*(draw(name) for name in families_of(*claim.family.drawn)), *catalogue.quick())
    for problem in sorted(every, key=lambda one: one.y0.size * (one.field.state + one.theta.size)):
        if claim.expected(problem) is not Verdict.REFUTED:
            continue
        record = evaluate(claim, right, problem)
        if record.verdict == Verdict.REFUTED:
            assert record.expected_verdict == Verdict.REFUTED and record.ok, record
            yield right, problem


@pytest.mark.parametrize("claim", FALSE, ids=lambda one: one.id)
def test_a_right_subject_has_the_residual_and_wrong_ones_have_another(claim: Claim) -> None:
    unseen: list[Mutant] = list(claim.mutants[-2:])
    for right, problem in refuted(claim):
        unseen = [mutant for mutant in unseen if not _seen(claim, mutant, right, problem)]
        if not unseen:
            return
    assert len(unseen) < 2, "no problem on which it is false"
    assert not unseen, [mutant.name for mutant in unseen]


def _seen(claim: Claim, mutant: Mutant, right: Subject, problem: Problem) -> bool:
    try:
        record = evaluate(claim, mutant(right), problem)
    except NotApplicable:
        return False
    return record.verdict in (Verdict.REFUTED, Verdict.HOLDS) and not record.ok


def test_the_message_says_that_another_residual_is_meant() -> None:
    right = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8, land=True), Closed())
    problem = catalogue.quick()[0]
    record: Record = evaluate(snopt.horizon_from_first_order, wrong.DOUBLED_SQUARES(right), problem)
    assert not record.ok and record.ratio == pytest.approx(2.0)
    assert "the literal value with that residual" in record.message


def test_a_claim_that_may_be_false_says_by_how_much() -> None:
    with pytest.raises(ValueError, match="predicted="):
        claim("SOL-99", source="a test", resolution=1.0, mutants=[wrong.OTHER_FORM], expect=Verdict.REFUTED)(
            lambda subject, problem: (Bounded(1.0), Bounded(2.0))
        )


def test_a_residual_that_cannot_be_told_is_inconclusive() -> None:
    right = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8, land=True), Closed())
    vague = replace(
        snopt.horizon_from_first_order,
        statement=lambda s, p: (Bounded(np.array([1.0])), Bounded(np.array([2.0]))),
        predicted=lambda s, p: Bounded(np.array([1.0]), {"wide": 0.5}),
    )
    record = evaluate(vague, right, catalogue.quick()[0])
    assert record.verdict == Verdict.INCONCLUSIVE and not record.ok
