"""The GPU suite where there is no GPU: it says so, its rows are right on the CPU, and what cannot be done is a row."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu, gpu_plan
from odecheck.commands.cli import app
from tests.bench.computations import ITEM, SMALL, row

SCRIPTS = Path(__file__).parents[2] / "asv_bench"


@pytest.fixture(scope="module")
def expected():
    return ITEM.posed("cpu", torch.float64)().double()


@pytest.fixture
def light_compiler(monkeypatch):
    """What torch.compile traces and differentiates, without a C++ compiler behind it."""
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: whole(module, backend="aot_eager"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_is_no_success(tmp_path):
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path / "reports")])
    assert done.exit_code == 2 and "no GPU" in done.output and not (tmp_path / "reports").exists()


def test_float64_and_float32_are_measured(expected):
    double, single = row(expected), row(expected, dtype=torch.float32)
    assert double.state == single.state == "measured" and double.distance == 0 < single.distance < 1e-4
    assert double.saved_bytes > single.saved_bytes > 0 and double.nfe_forward == single.nfe_forward == 16
    assert double.wall_seconds > 0


def test_what_cannot_be_done_or_is_wrong_is_a_failed_row(expected):
    if not torch.cuda.is_available():
        for failed in (row(expected, "CUDA graph"), row(expected, device="cuda")):
            assert failed.state == "failed" and failed.message and math.isnan(failed.wall_seconds)
    wrong = row(1.1 * expected)
    assert wrong.state == "failed" and "wrong" in wrong.message and math.isnan(wrong.wall_seconds)


def test_a_reference_that_cannot_be_computed_is_a_failed_row():
    def broken(item):
        raise ArithmeticError("no reference")

    failed = gpu.measured(ITEM, "eager", "cpu", torch.float64, broken, 1)
    assert failed.state == "failed" and "no reference" in failed.message


def test_what_needs_the_gpu_comes_first_and_where_launches_show():
    order = [(job.item.size, job.device, job.variant) for job in gpu.jobs()]
    assert order == sorted(order, key=[phase[:3] for phase in gpu_plan.PHASES].index)
    assert order[0] == (SMALL, "cuda", "eager") and {device for _, device, _ in order[-10:]} == {"cpu"}
    assert [d for _, d, _ in order] == sorted((d for _, d, _ in order), reverse=True)
    keys = [job.row().key for job in gpu.jobs()]
    assert len(set(keys)) == len(keys)
    captured = {job.item.engine.name for job in gpu.jobs() if job.variant == "CUDA graph"}
    assert captured == {"bare loop", "odecheck.discrete", "one step on the device"}
    assert [p[3] for p in gpu_plan.PHASES] == sorted(p[3] for p in gpu_plan.PHASES)


def test_time_is_looked_at_before_anything_is_computed(monkeypatch):
    def never(*_):
        raise AssertionError("computed after the time was spent")

    monkeypatch.setattr(gpu_plan.Item, "posed", never)
    told = []
    rows = gpu.suite(gpu.jobs(), seconds=-1.0, progress=told.append)
    assert rows == told and len(rows) == len(gpu.jobs()) and {r.message for r in rows} == {"no time was left for it"}


def test_the_time_of_a_phase_is_its_share(monkeypatch):
    """At 0.6 of the time no row of the small size is begun on the GPU any more, those of the large one still are."""
    clock = iter([0.0] + [60.0] * 1000)
    monkeypatch.setattr(gpu, "time", SimpleNamespace(time=lambda: next(clock)))
    monkeypatch.setattr(gpu, "measured", lambda item, *how, counts: gpu.row_of(item, *how[:3]))
    rows = gpu.suite(gpu.jobs(), seconds=100.0)
    late = {(r.size, r.device) for r in rows if "no time" in r.message}
    assert late == {(SMALL, "cuda")}


def test_the_cpu_is_measured_briefly(monkeypatch):
    seen = []
    monkeypatch.setattr(
        gpu,
        "measured",
        lambda *how, counts: (seen.append((how[2], how[5], counts)), gpu.row_of(ITEM, "", "", how[3]))[1],
    )
    gpu.suite(gpu.jobs(quick=True), repeat=5)
    assert set(seen) == {("cuda", 5, True), ("cpu", gpu.CPU_REPEAT, False)}


@pytest.mark.parametrize(
    "item",
    [i for i in gpu_plan.plan(True) if "compiled" in i.variants and i.engine.name != "odecheck.discrete"],
    ids=lambda i: f"{i.engine.name}-{i.solver.name}-{i.quantity}",
)
def test_every_row_with_a_compiled_field_can_be(item, light_compiler):
    done = row(item.posed("cpu", torch.float64)().double(), "compiled", item=item)
    assert done.state == "measured", done.message


def test_buffers_are_not_donated_while_a_compiled_field_is_used(expected, light_compiler, monkeypatch):
    """Whether torch donates any depends on what it compiled before: torchdiffeq's adjoint failed then, not always."""
    config = pytest.importorskip("torch._functorch.config")
    if not hasattr(config, "donated_buffer"):
        pytest.skip("this torch donates none")
    before, seen = config.donated_buffer, []
    whole = gpu.variant
    monkeypatch.setattr(gpu, "variant", lambda at, name: (seen.append(config.donated_buffer), whole(at, name))[1])
    assert row(expected, "compiled").state == "measured"
    assert seen == [False] and config.donated_buffer == before


def test_the_ninth_compiled_field_is_compiled_too(expected, light_compiler):
    from torch._dynamo.utils import counters

    for _ in range(9):  # torch's limit is eight
        counters.clear()
        assert row(expected, "compiled").state == "measured"
        assert counters["stats"]["unique_graphs"] >= 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("script", "status"),
    [("gpu.py", 2), ("second_order_continuous.py --device cuda", 0), ("snopt_step.py --device cuda", 0)],
)
def test_the_scripts_say_so_without_a_gpu(script, status, tmp_path):
    name, *words = script.split()
    command = [sys.executable, str(SCRIPTS / name), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status and "no GPU" in done.stdout + done.stderr and not list(tmp_path.iterdir())
