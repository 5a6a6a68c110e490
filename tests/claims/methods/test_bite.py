"""Claims about optimizers, flows and steps: each refutes its mutants, and holds for the subject they are made from."""

from __future__ import annotations

from functools import cache

import pytest

from odecheck import BadInput, check
from odecheck.claim import Claim, Mutant
from odecheck.claims import METHODS
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.judge import Verdict
from odecheck.problem_sets.conformance import linear, network
from odecheck.record import Record, evaluate
from odecheck.runner.validation import validate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

ADJOINT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint())
STEPS, DOPRI5 = Subject(SHIPPED, FixedStep("rk4", step=0.125), Backprop()), Subject(SHIPPED, Adaptive(), Backprop())
# a right subject of each claim; the problem is the network where it decides
WHERE = {
    "OPT": (ADJOINT, network()),
    "FLOW-1": (DOPRI5, network()),
    "SOL-1.6": (STEPS, network()),
    "STEP-4": (DOPRI5, linear()),
    "STEP-5": (DOPRI5, network()),
    "STEP-6": (DOPRI5, linear()),
    "STEP": (STEPS, network()),
}
BITTEN = METHODS


@cache
def right(claim: Claim) -> Record:
    return evaluate(claim, *where(claim))


def where(claim: Claim):
    return WHERE.get(claim.id) or WHERE[claim.family.id]


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in METHODS for m in c.mutants]
)
def test_every_claim_holds_and_refutes_its_mutants(claim: Claim, mutant: Mutant) -> None:
    subject, problem = where(claim)
    assert right(claim).verdict == Verdict.HOLDS, right(claim)
    record = evaluate(claim, mutant(subject), problem)
    assert record.verdict == Verdict.REFUTED, record


IMPLICIT = Subject(SHIPPED, FixedStep("implicit_adams", step=0.125), Backprop())
OTHERS = [
    ("STEP-2", IMPLICIT, Verdict.HOLDS),  # implicit steps are differentiated as they are
    ("STEP-2", DOPRI5, Verdict.HOLDS),  # an adaptive method on forced steps
    ("STEP-3", DOPRI5, Verdict.HOLDS),
    ("STEP-5", Subject(SHIPPED, Adaptive("bosh3", rtol=1e-4), Closed()), Verdict.HOLDS),
    ("STEP-5", Subject(SHIPPED, Adaptive("fehlberg2", rtol=1e-4), Backprop()), Verdict.HOLDS),  # a stale first stage
    ("STEP-5", Subject(SHIPPED, Adaptive("adaptive_heun", rtol=1e-3), Backprop()), Verdict.NOT_APPLICABLE),
    ("STEP-7", Subject(SHIPPED, Adaptive("dopri5", rtol=1e-5), Discrete()), Verdict.HOLDS),  # in batches of its own
    ("STEP-2", ADJOINT, Verdict.NOT_APPLICABLE),
    ("STEP-1", DOPRI5, Verdict.NOT_APPLICABLE),
    ("STEP-4", STEPS, Verdict.NOT_APPLICABLE),
    ("STEP-6", STEPS, Verdict.NOT_APPLICABLE),
    ("OPT-1", DOPRI5, Verdict.UNSUPPORTED),  # there is no adjoint solve to gather along
    ("OPT-4", STEPS, Verdict.UNSUPPORTED),
]


@pytest.mark.filterwarnings("ignore:Functional iteration")
@pytest.mark.parametrize(("id", "subject", "verdict"), OTHERS, ids=lambda x: getattr(x, "name", str(x)))
def test_of_other_subjects(id: str, subject: Subject, verdict: Verdict) -> None:
    """Whom it makes sense to ask is asked, and the others are told why not."""
    (record,) = check(subject, network(), id)
    assert record.verdict == verdict and record.message, record


def test_a_class_under_a_name_that_no_claim_asks_for_is_refused() -> None:
    subject = Subject(SHIPPED, Adaptive(), Adjoint(), kit={"optimiser": object})
    with pytest.raises(BadInput, match="'optimiser', which no claim asks for"):
        validate(subject, network())
