"""Every row of the GPU suite on a stand-in for a GPU, and that the stand-in sees what would break on a real one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from odecheck import compat
from odecheck.bench import gpu, gpu_plan, gpu_variants
from odecheck.bench.gpu_step import StepEngine
from odecheck.engines.torchdiffeq import Backprop
from tests.bench.computations import SMALL
from tests.bench.stand_in import a_gpu

CAPTURES: dict = {}
LONG = "torchdiffeq adjoint", "odecheck.odeint"
QUICK = [phase for phase in gpu_plan.PHASES if phase[:2] == (SMALL, "cuda")]


@pytest.fixture(scope="module")
def small():
    """The suite at a size where it takes seconds, on times where solves take two or three steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_plan, "SIZES", {SMALL: (2, 4, 3)})
        patch.setattr(gpu_plan, "PHASES", tuple(QUICK))
        patch.setattr(gpu_plan, "STEPS", 1)
        patch.setattr(gpu_variants, "SPAN", 0.1)
        # no compiler: what is compiled runs as it was captured
        patch.setattr(torch, "compile", lambda module: module)
        patch.setattr(compat, "compiled_graph", lambda graph, _: lambda values: graph(*values))
        gpu_plan.shared.cache_clear()
        yield gpu.Expected()
    gpu_plan.shared.cache_clear()
    CAPTURES.clear()


@pytest.fixture
def stand_in(small, monkeypatch):
    for item in gpu_plan.plan(True):  # what the CPU has to do is none of the stand-in's
        small(item)
    gpu_plan.shared.cache_clear()
    with a_gpu(monkeypatch, CAPTURES) as found:
        yield found


def asked(job, known, **how):
    return gpu.measured(job.item, job.variant, job.device, job.dtype, known, 1, **how)


@pytest.mark.parametrize("phase", [phase[2] for phase in QUICK])
def test_every_row_of_the_gpu_is_measured(small, stand_in, phase):
    rows = []
    for job in gpu.jobs(quick=True):
        if job.variant == phase:
            # what is counted takes several runs: for some of the rows
            short = job.item.quantity == "solution" or job.item.engine in (gpu_plan.STEP, gpu_plan.LOOP)
            counts = short and job.dtype == torch.float64 and job.item.engine.name not in LONG
            rows.append(asked(job, small, counts=counts))
            assert rows[-1].state == "measured", rows[-1]
            assert not stand_in.mixed, (job, stand_in.mixed[:3])
    assert rows and all(row.first_seconds > 0 and row.wall_seconds > 0 for row in rows)
    assert (stand_in.graphs > 0) == (phase == "CUDA graph")
    reads = {(r.engine, r.method, r.quantity): r.host_reads for r in rows if r.dtype == "float64"}
    if phase == "CUDA graph":
        assert reads["bare loop", "rk4", "solution"] == reads["bare loop", "rk4", "gradient"] == 0
        assert reads["one step on the device", "dopri5", "solution"] <= 9
    if phase == "eager":
        whole = {(r.engine, r.quantity, r.dtype): (r.nfe_forward, r.nfe_backward) for r in rows}
        # the captured step counts for itself what is counted here from outside
        by = StepEngine()
        item = next(i for i in gpu_plan.plan(True) if i.engine.name == by.name and i.quantity == "gradient")
        item.posed("cuda", torch.float64, by)()
        assert by.nfe == whole[by.name, "gradient", "float64"]
        assert (
            reads["odecheck.discrete", "dopri5", "solution"] < reads["torchdiffeq backprop", "dopri5", "solution"] / 3
        )


class Forgetful(nn.Module):
    """A field with a constant that stays on the CPU."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(1.0))
        self.shift = torch.ones(2)

    def forward(self, t, y):
        return -self.rate * y + self.shift.to(y.dtype)


class Looks(Forgetful):
    """A field that looks at a value."""

    def forward(self, t, y):
        return -self.rate * y * (1.0 if float(y.sum()) > -1e9 else 2.0)


def item_of(engine, quantity="solution"):
    found = gpu_plan.plan(True)
    return next(i for i in found if i.engine is engine and i.quantity == quantity)


def test_a_tensor_left_on_the_cpu_is_seen(stand_in, monkeypatch):
    monkeypatch.setattr(gpu_plan, "Network", lambda *_: Forgetful())
    item_of(gpu_plan.LOOP).posed("cuda", torch.float32)()
    assert any("sub" in said or "add" in said for said in stand_in.mixed)


def test_a_look_at_a_value_spoils_a_capture_and_that_is_a_row(small, stand_in, monkeypatch):
    monkeypatch.setattr(gpu_plan, "Network", lambda *_: Looks())
    for engine in (gpu_plan.LOOP, gpu_plan.STEP):
        item = item_of(engine)
        at = item.posed("cuda", torch.float64)
        failed = gpu.measured(
            item, "CUDA graph", "cuda", torch.float64, lambda _, at=at: (at().detach().cpu(), (math.nan, math.nan)), 1
        )
        assert failed.state == "failed" and "not permitted when stream is capturing" in failed.message


def test_a_graph_that_reads_what_is_no_longer_there_gives_another_result(small, stand_in, monkeypatch):
    """The mutant: inputs are not copied in, so that every replay computes the first call again."""
    monkeypatch.setattr("odecheck.compat.copy_all", lambda into, values: None)
    job = next(
        j for j in gpu.jobs(quick=True) if (j.item.engine.name, j.variant) == ("odecheck.discrete", "CUDA graph")
    )
    assert asked(job, small).state == "failed"


def test_other_evaluations_than_on_the_cpu_are_a_failed_row(small, stand_in):
    job = next(j for j in gpu.jobs(quick=True) if isinstance(j.item.engine, type(Backprop())))

    def one_more(item):
        truth, (forwards, backwards) = small(item)
        return truth, (forwards + 1, backwards)

    failed = asked(job, one_more)
    assert failed.state == "failed" and failed.message.startswith(gpu.OTHER_NFE) and math.isnan(failed.wall_seconds)
    assert asked(replace(job, dtype=torch.float32), one_more).state == "measured"  # there it may be so
