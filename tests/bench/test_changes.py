"""What changed between commits: states, directions, and how sure."""

from __future__ import annotations

import math

from odecheck.bench import changes, exit_status
from tests.bench.series import series


def test_states_directions_and_confidence():
    failed = changes([series(1.0, "failed", "failed", 1.0)])
    assert [(c.after, c.at, c.direction) for c in failed] == [("0", "1", "failed"), ("2", "3", "mended")]
    hidden = changes([series(1.0, "missing", 2.0)])  # the change lies somewhere between
    assert [(c.after, c.at, c.direction) for c in hidden] == [("0", "1", "missing"), ("0", "2", "worse")]
    assert changes([series("missing", "missing", 1.0, 1.0)]) == []
    assert exit_status(changes([series(1.0, "missing")])) == 0
    assert exit_status(changes([series(1.0, "missing")]), strict=True) == 1
    (better,) = changes([series(0.5, 0.9, unit="accuracy, higher is better")])
    assert better.direction == "better" and exit_status([better]) == 0
    assert exit_status(changes([series(0.9, 0.5, unit="accuracy, higher is better")])) == 1
    assert changes([series(1e-6, 1.001e-6, kind="error", unit="relative error")]) == []
    assert exit_status(changes([series(1e-6, 1.1e-6, kind="error", unit="relative error")])) == 1
    (advice,) = changes([series(1.0, 2.0, kind="time", unit="seconds")])
    assert advice.confidence == "advice" and exit_status([advice]) == 0
    (from_zero,) = changes([series(0.0, 1.0)])
    assert from_zero.direction == "worse" and from_zero.ratio == math.inf
