"""Whether the reference's bars contain the truth."""

from __future__ import annotations

from odecheck.selftest import bars


def test_a_bar_that_is_too_narrow_is_counted():
    narrow = [[{"seed": 0, "quantity": "loss", "score": 2.0, "slack": 0.5, "name": "x"}]]
    assert bars.summary(narrow)["outside"] == 1


def test_the_bar_holds_for_a_state_of_no_size():
    """Found by `--part bars --seed 1`, problem 1001761: Van der Pol's equation at 1e-12, off by 50 bars."""
    (row,) = bars.rows(1001761, ("solution",))
    assert row.score <= 1
