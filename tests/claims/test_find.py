"""Claims are found by id, pattern, family and topic, in any case; what stands for none is refused with what is near."""

from __future__ import annotations

import pytest

from odecheck import BadInput, Verdict, check, problems, subjects
from odecheck.claims import ALL, CONFORMANCE, EVERY, METHODS
from odecheck.claims.find import found


def ids(*words: str) -> list[str]:
    return [claim.id for claim in found(words)]


def test_by_id_in_the_order_that_was_asked_for() -> None:
    assert ids("node-2", "SOL-1", "NODE-2") == ["NODE-2", "SOL-1"]
    assert ids("NODE-2, SOL-1") == ["NODE-2", "SOL-1"]
    assert found(ALL[3]) == (ALL[3],)


def test_by_pattern_family_and_topic() -> None:
    assert ids("NODE-*") == [c.id for c in ALL if c.id.startswith("NODE-")] == ids("node")
    assert ids("HB") == [c.id for c in ALL if c.id.startswith("HB-")]
    assert set(ids("derivatives")) == {c.id for c in CONFORMANCE if c.id.startswith("DER-")}
    assert {claim.id.split("-")[0] for claim in found("use")} == {"HES", "EVT", "USE"}
    assert ids("SOL-1?") == [f"SOL-{n}" for n in range(10, 20)]
    assert found("all") == EVERY and {*ALL, *CONFORMANCE, *METHODS} == set(EVERY)
    assert {claim.id for claim in METHODS} >= {*ids("OPT-*"), *ids("flow"), *ids("STEP")} != set()


@pytest.mark.parametrize("word", ["NODE-22", "NODES", "", "DERR-4", "*-99"])
def test_what_stands_for_none_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="there is no claim") as refused:
        found(word)
    assert "topic (derivatives, solution, use)" in refused.value.fix


def test_what_is_near_is_named() -> None:
    with pytest.raises(BadInput) as refused:
        found("DERR-4")
    assert refused.value.fix.startswith("DER-4")


def test_a_claim_of_conformance_is_asked_of_any_subject() -> None:
    (record,) = check(subjects()[0], problems()[0], "DER-4")
    assert record.claim == "DER-4" and record.verdict in (Verdict.HOLDS, Verdict.NOT_APPLICABLE)
