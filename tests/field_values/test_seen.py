"""What was seen of a field, as data: what is off, what was not judged, how narrow a window was looked at."""

import pytest

from odecheck.field_values import DerivativesSeen, Sample

RIGHT, WRONG = Sample(0.25, "reverse mode", 1e-12, 1e-10), Sample(0.5, "forward mode", 1e-3, 1e-9)


def test_a_defect_beyond_its_bar_or_that_is_no_number_is_off():
    assert WRONG.off and not RIGHT.off
    assert Sample(0.0, "reverse mode", float("nan"), 1.0).off


def test_the_sums_of_what_was_seen():
    seen = DerivativesSeen((RIGHT, WRONG), (0.25, 0.5), 4, 0.0, 2.0, None, ())
    assert (seen.not_judged, seen.off) == (2, (WRONG,))
    assert seen.window == pytest.approx(1.5)
    assert seen.resolved == 1e-10
    assert DerivativesSeen((WRONG,), (0.5,), 1, 0.0, 1.0, None, ()).resolved == float("inf")
