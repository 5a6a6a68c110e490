"""Survivors that are explained exist, and so do the claims that are kept for a reason."""

from __future__ import annotations

from odecheck.selftest import battery, exemptions, operators, source
from odecheck.selftest.exemptions import KEPT, SURVIVORS


def test_survivors_that_are_explained_exist():
    everything = [m.key for module in source.modules() for m in source.mutants(module)]
    named = {name for name in SURVIVORS if not name.startswith("odecheck.")}
    known = {*everything, *operators.of_claims()}
    assert {name for name in named if ":" in name and " -> " in name} <= known


def test_claims_that_are_kept_exist_and_say_why():
    assert set(KEPT) <= {claim.id for claim in battery.CLAIMS}
    assert all(exemptions.why_kept(claim) == reason != "" for claim, reason in KEPT.items())
