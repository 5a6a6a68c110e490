"""Records of other code are taken out of a run folder, and said; two runs are one by cases, seed and versions."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from odecheck.errors import BadInput
from odecheck.records.facts import same_cases
from odecheck.records.journal import Journal
from odecheck.records.reading import forget_changed, read_records
from tests.report_runs import ALL

FACTS = {
    "cases": {"claims": ["SOL-2"], "pairs": [["a", "b", "c"]], "code": {"claims": {}, "pairs": ["1"]}},
    "seed": 0,
    "versions": {"torch": "2"},
    "command": ["odecheck", "verify"],
}


def test_the_same_cases_of_other_code_go_on():
    same_cases(Path("run"), FACTS, {**FACTS, "cases": {**FACTS["cases"], "code": {"claims": {}, "pairs": ["2"]}}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cases": {**FACTS["cases"], "claims": ["SOL-3"]}}, "other claims"),
        ({"cases": {**FACTS["cases"], "pairs": [["a", "b", "d"]]}}, "other pairs"),
        ({"seed": 1}, "has seed 0"),
        ({"versions": {"torch": "3"}}, "torch 2 .now 3."),
    ],
)
def test_another_run_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        same_cases(Path("run"), FACTS, {**FACTS, **change})


def cases(codes):
    names = [[f"s{k}", f"p{k}", "d"] for k in range(len(codes))]
    return {"claims": ["SOL-2"], "pairs": names, "code": {"claims": {"SOL-2": "x"}, "pairs": codes}}


def test_records_of_a_pair_whose_code_was_changed_are_forgotten(tmp_path):
    records = [replace(ALL[0], claim="SOL-2", subject=f"s{k}", problem=f"p{k}") for k in range(3)]
    journal = Journal(tmp_path / "journal.jsonl")
    for record in records:
        journal.add(asdict(record))
    journal.close()
    assert forget_changed(tmp_path, cases(["a", "b", "c"]), cases(["a", "b", "c"])) == ""
    assert len(read_records(tmp_path)[0]) == 3
    assert "1 of 3 kept records" in forget_changed(tmp_path, cases(["a", "b", "c"]), cases(["a", "other", "c"]))
    assert [record.subject for record in read_records(tmp_path)[0]] == ["s0", "s2"]
