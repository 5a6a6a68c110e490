"""The process that times pairs: a GPU is waited for, and a side that fails says so."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

from odecheck.bench import pair_worker


def test_in_pairs_a_gpu_is_waited_for(monkeypatch):
    """A device that takes a second for what is asked of it in no time: its seconds are what counts."""
    now, asked = [0.0], [0]

    def synchronize():
        now[0], asked[0] = now[0] + asked[0], 0

    def launch():
        asked[0] += 1

    def fake(initialized):
        return SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: initialized, synchronize=synchronize))

    benchmark = SimpleNamespace(timer=lambda: now[0])
    monkeypatch.setitem(sys.modules, "torch", fake(True))
    assert pair_worker._seconds(pair_worker._clock(benchmark), launch, (), 3) == 3.0
    monkeypatch.setitem(sys.modules, "torch", fake(False))
    assert pair_worker._clock(benchmark) is time.process_time
    monkeypatch.delitem(sys.modules, "torch")
    assert pair_worker._clock(benchmark) is time.process_time
