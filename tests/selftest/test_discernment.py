"""The smallest defect that is refuted."""

from __future__ import annotations

import math

import pytest

from odecheck.claims import ALL
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.selftest import battery, discernment, operators
from odecheck.selftest.other_tests import OTHERS


def test_the_smallest_defect_is_found_by_bisection():
    assert discernment.smallest(lambda by: by > 3e-7) == pytest.approx(3e-7, rel=0.2)
    assert math.isinf(discernment.smallest(lambda by: False))


def test_a_defect_that_is_always_refuted_has_no_smallest() -> None:
    with pytest.raises(ArithmeticError, match="the right derivative is refuted"):
        discernment.smallest(lambda by: True)


def test_a_claim_refutes_a_defect_that_gradcheck_lets_pass() -> None:
    """3e-4: see tests/selftest/test_other_tests.py."""
    subject = operators.kept(battery.DISCRETE)
    wrong = discernment._scaled("y0", 1 + 3e-4)(subject)
    claim = next(c for c in ALL if c.id == "NODE-1")
    assert evaluate(claim, wrong, battery.problems()["clocked"]).verdict == Verdict.REFUTED


def test_pieces_are_every_engine_at_every_tolerance_and_every_other_test() -> None:
    pieces = discernment.pieces()
    assert len({one.key for one in pieces}) == len(pieces)
    assert len(pieces) == len(discernment.TOLERANCES) * len(discernment.ENGINES) + len(OTHERS)


def test_a_test_that_refutes_the_right_derivative_discerns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"all": (lambda part, by: True, ("y0",)), "none": (lambda part, by: False, ("y0",))}
    monkeypatch.setattr(discernment, "OTHERS", made)
    (refuting,), (passing,) = discernment.theirs("all"), discernment.judged(("theirs", "none"))
    assert refuting["verdict"] == "refuted" and math.isnan(refuting["smallest_refuted"])
    assert passing["verdict"] == "holds" and math.isinf(passing["smallest_refuted"])
