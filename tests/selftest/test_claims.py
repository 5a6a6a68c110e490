"""The claims that the battery alone asks."""

from __future__ import annotations

import pytest

from odecheck.judge import Verdict
from odecheck.selftest import battery


@pytest.mark.parametrize("claim", battery.HERE, ids=lambda claim: claim.id)
def test_what_the_battery_alone_asks_holds_and_is_refuted_of_wrong_subjects(claim):
    case = next(c for c in battery.cases(battery.problems()) if c.claim is claim)
    assert battery.outcome(case).verdict == Verdict.HOLDS
    for mutant in claim.mutants:
        assert battery.outcome(case, mutant).verdict == Verdict.REFUTED, mutant.name
