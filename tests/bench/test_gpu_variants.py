"""Variants of a computation: the loop that is captured, and a capture that fails."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from odecheck.bench import gpu_plan, gpu_variants
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import FixedStep
from tests.bench.computations import ITEM, SMALL


@pytest.mark.parametrize("quantity", ["solution", "gradient"])
def test_the_loop_that_is_captured_takes_the_steps_of_torchdiffeq(quantity):
    loop, library = (gpu_plan.Item(SMALL, e, FixedStep("rk4", step=0.1), quantity) for e in (gpu_plan.LOOP, Backprop()))
    found, true = (item.posed("cpu", torch.float64)() for item in (loop, library))
    assert float((found - true).abs().max()) < 1e-13 * float(true.abs().max())


@pytest.mark.parametrize("quantity", ["solution", "gradient"])
def test_the_loop_that_is_captured_never_looks_at_a_value(quantity):
    """On the device `meta` there are none: whatever would wait for a GPU raises."""
    item = gpu_plan.Item(SMALL, gpu_plan.LOOP, FixedStep("rk4", step=0.1), quantity)
    assert item.posed("meta", torch.float32)().device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):
        replace(item, engine=Backprop()).posed("meta", torch.float32)()


def test_a_capture_that_fails_leaves_the_stream_as_it_was(monkeypatch):
    """torch's context manager, as it is: when the capture cannot be ended its stream stays the current one."""
    current = ["own"]

    @contextmanager
    def on(stream):
        before, current[0] = current[0], stream
        yield
        current[0] = before

    @contextmanager
    def graph(_, stream):
        current[0] = stream
        try:
            yield
        finally:
            raise RuntimeError("capture_end failed")

    side = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(wait_stream=lambda other: None))
    monkeypatch.setattr(torch.cuda, "device", lambda device: on("own"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: side)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    put_back = []
    monkeypatch.setattr(torch.cuda, "set_stream", put_back.append)
    with pytest.raises(RuntimeError, match="capture_end"):
        gpu_variants.variant(replace(ITEM, engine=gpu_plan.LOOP).posed("cpu", torch.float32), "CUDA graph")
    assert len(put_back) == 1 and put_back[0] is not side
