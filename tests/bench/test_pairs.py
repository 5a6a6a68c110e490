"""Two sides in turn: what a busy machine does falls on both, and a slower side is seen."""

from __future__ import annotations

import numpy as np

from odecheck.bench.pairs import judged


def test_load_adds_to_some_rounds_and_a_slow_process_is_its_own_excuse():
    rng = np.random.default_rng(0)
    side = np.repeat([0, 1], 8)
    load = 1 + rng.exponential(0.3, size=(16, 25))  # a machine that does other things
    own = np.exp(rng.normal(0, 0.01, size=(16, 1)))  # what each process is slower by, for as long as it lives
    alike = judged(load * own, side)
    assert not alike.significant() and alike.low < 1 < alike.high
    slower = judged(load * own * np.where(side, 1.1, 1.0)[:, None], side)
    assert slower.significant() and slower.low < 1.1 < slower.high
    alarms = 0
    for _ in range(200):
        null = np.exp(rng.normal(0, 0.02, size=(16, 1))) * (1 + rng.exponential(0.3, size=(16, 25)))
        alarms += judged(null, side).significant()
    assert alarms <= 5  # 1 expected of 200 at the level of 0.005, before the second look
