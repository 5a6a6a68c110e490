"""Devices other than the CPU, where there is none: what is refused, and what asks for the right one."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from odecheck import Adaptive
from odecheck.bench import pair_worker
from odecheck.cli import app
from odecheck.commands.common import check_device
from odecheck.cost.measure import _cuda_peak, timed
from odecheck.engines import torchdyn
from odecheck.engines.base import on_host
from odecheck.engines.scipy import SOLVE_IVP, SolveIvp
from odecheck.errors import BadInput, Unsupported

ELSEWHERE = torch.device("meta")  # no GPU, and no CPU either


class Decay(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, t, y):
        return -self.rate * y


def posed(device):
    y0 = torch.ones(1, 2, dtype=torch.float64, device=device)
    return Decay().to(device), y0, torch.tensor([0.0, 1.0], dtype=torch.float64, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ["train spheres", "cost"])
def test_a_gpu_that_is_not_there_is_refused_in_words(command, tmp_path):
    words = [*command.split(), "--device", "cuda", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
    said = " ".join(done.output.split())
    assert "no device 'cuda' here" in said and "no GPU" in said and "--device cpu" in said


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CUDA", "mps"])
def test_a_name_that_is_no_device_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput):
        check_device(device)


def test_one_of_several_gpus_can_be_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for there in ("cpu", "cuda", "cuda:0", "cuda:1"):
        check_device(there)
    with pytest.raises(BadInput, match="there are 2 GPUs"):
        check_device("cuda:2")


def test_libraries_outside_torch_do_not_support_other_devices():
    module, y0, ts = posed("cpu")
    on_host("numpy", (y0, ts))
    assert SOLVE_IVP.solution(module, SolveIvp("RK45", rtol=1e-6), y0, ts).shape == (2, 1, 2)
    for there in ((posed(ELSEWHERE)[0], y0, ts), (module, *posed(ELSEWHERE)[1:])):
        with pytest.raises(Unsupported, match="meta"):
            SOLVE_IVP.solution(there[0], SolveIvp("RK45", rtol=1e-6), there[1], there[2])


def test_jax_does_not_support_other_devices():
    pytest.importorskip("jax")
    from odecheck.engines.jax_field import jax_field

    with pytest.raises(Unsupported, match=r"jax.*meta"):
        jax_field(*posed(ELSEWHERE)[:2])


def test_diffrax_does_not_support_other_devices():
    pytest.importorskip("diffrax")
    from odecheck.engines.diffrax import DIRECT

    with pytest.raises(Unsupported, match=r"diffrax.*meta"):
        DIRECT.solution(posed(ELSEWHERE)[0], Adaptive("dopri5", rtol=1e-6), *posed(ELSEWHERE)[1:])


def test_the_grid_of_torchdyn_is_where_the_times_are():
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    with ELSEWHERE:  # whatever is made without a device is made there
        grid = torchdyn._grid(ts, 0.25)
    assert grid.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


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
