"""A record says what came out and whether that was expected; what the subject does never raises."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from odecheck_reference import Bounded, FlowError, Problem, catalogue

from odecheck.claim import Claim
from odecheck.claims.papers import node
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.errors import NotApplicable, Unsupported
from odecheck.judge import Verdict
from odecheck.mutants.derivatives import scaled
from odecheck.record import COLUMNS, crashed, evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

PROBLEMS = catalogue.quick()
SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7, land=True), Adjoint())


def saying(answer: object) -> Claim:
    """A claim whose statement gives or raises this."""

    def statement(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        """One is one."""
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    return replace(node.parameter_gradient, statement=statement, resolution=0.1)


def test_a_subject_that_is_too_coarse_is_inconclusive_not_green() -> None:
    coarse = Subject(SHIPPED, FixedStep("euler", step=0.05), Adjoint())
    record = evaluate(node.parameter_gradient, coarse, PROBLEMS[0])
    assert record.verdict == Verdict.INCONCLUSIVE, record


def test_an_expected_failure_is_strict() -> None:
    subject = Subject(SHIPPED, SUBJECT.solver, Adjoint(), expected_failures={"NODE-2": "believed to fail"})
    record = evaluate(node.parameter_gradient, subject, PROBLEMS[0])
    assert record.verdict == Verdict.HOLDS
    assert not record.ok
    broken = replace(scaled("theta", -1.0)(subject), expected_failures=subject.expected_failures)
    assert evaluate(node.parameter_gradient, broken, PROBLEMS[0]).ok


@pytest.mark.parametrize(
    ("answer", "verdict", "ok", "message"),
    [
        ((Bounded([1.0]), Bounded([1.0])), "holds", True, "One is one."),
        ((Bounded([1.0]), Bounded([2.0])), "refuted", False, "One is one."),
        (NotApplicable("one row"), "not applicable", True, "one row"),
        (Unsupported("no Hessian"), "unsupported", True, "no Hessian"),
        (FlowError("it ends"), "inconclusive", False, "the reference has no answer: it ends"),
        (ZeroDivisionError("by zero"), "error", False, "ZeroDivisionError: by zero\n  record.py:"),
    ],
)
def test_whatever_happens_is_a_row(answer, verdict, ok, message):
    record = evaluate(saying(answer), SUBJECT, PROBLEMS[0])
    assert (record.verdict, record.ok) == (verdict, ok)
    assert message in record.message
    assert record.key == ("NODE-2", SUBJECT.name, PROBLEMS[0].name)


def test_a_row_has_the_worst_component_and_its_bar():
    observed, expected = Bounded([1.0, 4.0], {"a": [0.5, 0.25]}), Bounded([1.0, 2.0], {"b": 0.5})
    record = evaluate(saying((observed, expected)), SUBJECT, PROBLEMS[0])
    assert (record.worst, record.observed, record.expected, record.bar) == ("[1]", 4.0, 2.0, 0.75)
    assert (record.score, record.ratio, record.nfe) == (2 / 0.75, 2.0, 0)
    assert list(json.loads(record.budget)) == ["expected: b", "observed: a"]
    assert record.largest_term == "expected: b 0.5" in str(record)


def test_a_died_process_is_an_error_without_numbers():
    record = crashed(node.time_gradient, SUBJECT, PROBLEMS[0], "its process died")
    assert (record.verdict, record.ok, record.message) == (Verdict.ERROR, False, "its process died")
    assert math.isnan(record.score) and record.largest_term == "none"
    assert set(COLUMNS) - set(record.repeatable()) == {"seconds"}
