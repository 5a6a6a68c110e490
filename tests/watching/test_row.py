"""What a row says of a solve: by its findings, its quantities and how far it was judged."""

from __future__ import annotations

import pytest

from odecheck.judge import Judgement, Verdict
from odecheck.watching.row import Finding, Quantity, Row, State


def row(**how) -> Row:
    return Row(0, "train.py:3", "Field", "odeint", "torchdiffeq", "dopri5", 1e-6, 1e-8, True, 2, 4, **how)


def judged(name: str, verdict: Verdict) -> Quantity:
    return Quantity(name, 0.0, 0.0, judgement=Judgement(verdict, (0,), 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, {}))


@pytest.mark.parametrize(
    ("state", "verdicts", "expected"),
    [
        (State.JUDGED, (), "not applicable"),
        (State.JUDGED, ("holds", "holds"), "holds"),
        (State.JUDGED, ("holds", "inconclusive"), "inconclusive"),
        (State.JUDGED, ("holds", "refuted", "inconclusive"), "refuted"),
        (State.NOT_ASKED, ("holds",), "inconclusive"),
        (State.NOT_JUDGED, ("refuted",), "refuted"),
    ],
)
def test_the_verdict_of_a_solve(state, verdicts, expected):
    solve = row(state=state)
    solve.quantities = {str(n): judged(str(n), Verdict(v)) for n, v in enumerate(verdicts)}
    assert solve.verdict == expected


def test_a_finding_refutes_and_a_note_does_not():
    solve = row(state=State.JUDGED, quantities={"solution": judged("solution", Verdict.HOLDS)})
    solve.say("stiff", "few steps")
    assert solve.verdict is Verdict.HOLDS and solve.notes == [Finding("stiff", "few steps", True)]
    solve.say("cut off", "a part is detached")
    assert solve.verdict is Verdict.REFUTED and [f.text for f in solve.findings] == ["a part is detached"]


def test_a_quantity_that_promised_nothing_is_not_applicable_and_a_row_without_its_call_is_not_saved(tmp_path):
    assert Quantity("solution", 0.1, 0.0).verdict is Verdict.NOT_APPLICABLE
    with pytest.raises(ValueError, match=r"train\.py:3 is not held any more"):
        row().save(tmp_path)
