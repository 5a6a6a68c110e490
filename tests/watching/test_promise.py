"""An error over what was promised: up to SAFETY is granted, and a wide bar decides nothing."""

import pytest

from odecheck.watching.promise import SAFETY, kept


@pytest.mark.parametrize(
    ("off", "bar", "verdict"),
    [
        (0.0, 0.0, "holds"),
        (0.9 * SAFETY, 0.0, "holds"),
        (1.1 * SAFETY, 0.0, "refuted"),
        (1.0, 3 * SAFETY, "inconclusive"),
    ],
)
def test_in_units_of_the_promise(off, bar, verdict):
    used, judgement = kept(off * 1e-6, bar * 1e-6, 1e-6)
    assert used == pytest.approx(off) and judgement.verdict == verdict


def test_where_nothing_is_promised_anything_is_too_much():
    assert kept(1e-9, 0.0, 0.0)[0] == float("inf") and kept(1e-9, 0.0, 0.0)[1].verdict == "refuted"
