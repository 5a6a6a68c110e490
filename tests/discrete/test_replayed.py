"""Recorded steps on a stand-in for a GPU: replayed graphs of a step, and one wait for the device in each step."""

from __future__ import annotations

import pytest
import torch

from odecheck.discrete import NotCompiled, hvp, record
from odecheck.discrete.stepping import on_device
from tests.bench.stand_in import CUDA, a_gpu

from .oracle import Net, draw
from .test_compiled import equal, loss, solved


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch):
    with a_gpu(monkeypatch) as found:
        yield found


def test_without_a_gpu_there_are_none() -> None:
    with pytest.warns(NotCompiled, match="CUDA graphs are a GPU's, and the state is on cpu"):
        assert solved(Net(), draw(3, 2), "CUDA graphs", "euler").compiled is None


def test_replayed_steps_give_what_eager_steps_give_for_new_values_too(stand_in) -> None:
    field, y0 = Net().to("cuda"), draw(3, 2).to("cuda")
    for _ in range(2):
        mine, eager = (solved(field, y0, how, "heun2") for how in ("CUDA graphs", False))
        equal(mine, eager)
        with torch.no_grad():
            for p in field.parameters():
                p += 0.1
        y0 = y0 + 1
    assert stand_in.graphs == 4 and not stand_in.mixed


def test_a_replay_that_reads_old_values_is_not_believed(stand_in, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: what a replay reads is never renewed."""
    field, y0 = Net().to("cuda"), draw(3, 2).to("cuda")
    monkeypatch.setattr("odecheck.compat.copy_all", lambda into, values: None)
    with pytest.warns(NotCompiled):
        assert solved(field, y0, "CUDA graphs", "heun2").compiled is None


def test_a_step_waits_for_the_device_once(stand_in) -> None:
    field, y0, t = Net().to("cuda"), draw(3, 2).to("cuda"), torch.tensor([0.0, 1.0], dtype=torch.float64).to("cuda")
    waits = []
    for rtol in (1e-3, 1e-7):
        before = stand_in.reads
        found = record(field, y0, t, rtol=rtol, atol=rtol, options={"first_step": 0.1})
        waits.append((len(found.sizes), stand_in.reads - before))
    (few, little), (many, much) = waits
    assert many > few and much - little <= (many - few) + 2  # steps that were refused are read too
    before = stand_in.reads
    hvp(found, loss, y0=torch.ones_like(y0)[None])
    assert stand_in.reads - before < 20 and not stand_in.mixed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_rounded_on_the_device_as_on_the_host(stand_in, dtype: torch.dtype) -> None:
    numbers = (0.1, 1 / 3, 1e-300, float("inf"))
    there, here = on_device(numbers, dtype, CUDA), on_device(numbers, dtype, torch.device("cpu"))
    assert stand_in.on(there) and not stand_in.on(here) and stand_in.reads == 0
    assert torch.equal(there.cpu(), here)
