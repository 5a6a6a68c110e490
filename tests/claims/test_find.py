"""Claims are found by id, pattern, family and topic, in any case; what stands for none is refused with what is near."""

from __future__ import annotations

import pytest

from odecheck import BadInput, Verdict, check, problems, subjects
from odecheck.claim import loosely
from odecheck.claims import ALL, CONFORMANCE, EVERY, METHODS
from odecheck.claims.find import by_id, found


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


@pytest.mark.parametrize("word", ["node2", "NODE 2", "Node_2", "parameter gradient", "parameter_gradient"])
def test_an_id_is_taken_as_people_type_it_and_a_title(word: str) -> None:
    assert ids(word) == ["NODE-2"]


def test_no_two_claims_are_the_same_when_they_are_typed_loosely() -> None:
    assert len({loosely(id) for id in by_id()}) == len(by_id()) == len(EVERY) + 4
    assert ids("sol1.1") == ["SOL-1.1"] and ids("sol11") == ["SOL-11"]


def test_patterns_are_taken_loosely_too() -> None:
    assert ids("node*") == ids("NODE-*") and ids("node?") == ids("NODE-?") == ids("NODE")


def test_one_s_own_tolerance_is_known_where_it_is_asked_for() -> None:
    assert [claim.id for claim in found("own", by_id().values())] == ["OWN-1", "OWN-2", "OWN-3", "OWN-4"]
    with pytest.raises(BadInput, match="no claim 'OWN'"):
        found("OWN")


def test_a_misspelt_title_names_its_claim() -> None:
    with pytest.raises(BadInput) as refused:
        found("paramter gradient")
    assert refused.value.fix.startswith("NODE-2")


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
