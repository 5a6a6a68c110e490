"""The records of a watched step."""

from __future__ import annotations

import odecheck

from .mistakes import MISTAKES
from .right_models import MODELS
from .steps import stepped


def test_records_are_like_those_of_any_claim():
    records = stepped(MODELS["training_times"]).check()
    assert [r.claim for r in records] == ["WATCH-1", "WATCH-2", "WATCH-3", "WATCH-4", "WATCH-5"]
    assert all(r.ok and r.verdict is odecheck.HOLDS for r in records)
    wrong = {r.claim: r for r in stepped(MISTAKES["a_part_is_detached"][1]).check()}
    assert wrong["WATCH-5"].verdict is odecheck.REFUTED
    assert "detach" in wrong["WATCH-5"].message
    assert not wrong["WATCH-5"].ok
