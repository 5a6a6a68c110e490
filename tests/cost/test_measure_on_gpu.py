"""Seconds and bytes on a GPU, where there is none: of several GPUs the one that computes is asked."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from odecheck.cost.measure import _cuda_peak, timed


@pytest.fixture
def two_gpus(monkeypatch):
    """torch.cuda as far as costs are measured with it; `asked`: what was called, and on which of the two."""
    current, asked = [0], []

    @contextmanager
    def on(device):
        before, current[0] = current[0], device.index
        yield
        current[0] = before

    def call(name, value=None):
        return lambda *_: (asked.append((name, current[0])), value)[1]

    event = SimpleNamespace(record=call("record"), elapsed_time=lambda other: 2000.0)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: event)
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, call(name))
    monkeypatch.setattr(torch.cuda, "memory_allocated", call("memory_allocated", 100))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", call("max_memory_allocated", 350))
    return asked


def test_seconds_and_bytes_are_those_of_the_gpu_that_computes(two_gpus):
    second = torch.device("cuda:1")
    assert timed(lambda: torch.ones(1), second)[1] == 2.0 and _cuda_peak(lambda: torch.ones(1), second) == 250.0
    assert {"record", "synchronize", "max_memory_allocated"} <= {name for name, _ in two_gpus}
    assert {index for _, index in two_gpus} == {1}
