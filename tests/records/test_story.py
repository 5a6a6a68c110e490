"""The whole story of one record: what is said of it, and the Python that runs it again."""

from __future__ import annotations

import ast
from dataclasses import replace

from odecheck.records.run_folder import about
from odecheck.records.story import find, reproducer, story
from odecheck.records.summary import identifier
from tests.report_runs import ALL, FAILED, HELD, KNOWN, NOTHING

FACTS = {**about({}, seed=3), "versions": {"torch": "2.9", "torchdiffeq": None}, "commit": "abc"}


def test_a_record_is_found_by_its_identifier_or_by_words():
    assert find(ALL, identifier(FAILED)) == find(ALL, f"[{identifier(FAILED)}]") == [FAILED]
    assert find(ALL, "sol-2 PENDULUM") == [FAILED]
    assert find(ALL, "sol-2 nowhere") == []


def test_an_id_stands_for_that_claim_alone_however_it_is_typed():
    longer = replace(HELD, claim="SOL-21")
    assert longer not in find([*ALL, longer], "SOL-2")
    assert find([*ALL, longer], "sol2") == find(ALL, "SOL-2") != [] and find([*ALL, longer], "sol21") == [longer]
    assert longer in find([*ALL, longer], "SOL")


def test_everything_that_is_known_is_said():
    text = story(FAILED, FACTS, "The states are those of the flow.")
    for said in (
        f"SOL-2 refuted [{identifier(FAILED)}]",
        "claim            The states are those of the flow.",
        "as expected      no",
        "observed         0.69999999999999996",
        "gap / bar        2e+06 (refuted above 1)",
        "terms of the bar 9e-08  observed: truncation\n                 1e-08  expected: truncation",
        "812 evaluations of the field, 3 solves, 0.250 s; flow",
        "torch 2.9; seed 3; commit abc",
    ):
        assert said in text, said
    assert "but known to fail: the grid of steps" in story(KNOWN, FACTS)
    assert "observed  " not in story(NOTHING, FACTS)


def test_the_python_of_a_record_names_its_case_alone():
    facts = {**FACTS, "source": {"targets": ["my_model.py"], "tier": "full", "engine": None}}
    text = reproducer(HELD, facts)
    tree = ast.parse(text)
    assert "odecheck.pairs(['my_model.py'], tier='full')" in text and "engine" not in text.split("wanted")[0]
    assert repr((HELD.subject, HELD.problem)) in text and "claims='SOL-2', seed=3" in text
    assert len(tree.body) == 5
    quoted = replace(HELD, problem='it\'s "quoted"')
    ast.parse(reproducer(quoted, facts))


def test_a_run_from_python_says_so():
    text = reproducer(HELD, FACTS)
    assert "the run was made from Python" in text and "claims='SOL-2'" in text
