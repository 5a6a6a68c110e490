"""What makes two runs one: cases, seed and versions; the digests of their code do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from odecheck.errors import BadInput
from odecheck.records.same_run import same_cases

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
