"""The GPU suite where there is no GPU: it says so, its rows are right on the CPU, and what cannot be done is a row."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu, gpu_variants
from odecheck.bench.gpu_report import Report
from odecheck.cli import app
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import FixedStep

SCRIPTS = Path(__file__).parents[2] / "asv_bench"
SMALL = next(iter(gpu.SIZES))
ITEM = gpu.Item(SMALL, Backprop(), FixedStep("rk4", step=0.25), "gradient")


@pytest.fixture(scope="module")
def expected():
    return ITEM.posed("cpu", torch.float64)().double()


def row(expected, variant="eager", dtype=torch.float64, device="cpu", item=ITEM):
    return gpu.measured(item, variant, device, dtype, lambda: expected, 1)


@pytest.fixture
def light_compiler(monkeypatch):
    """What torch.compile traces and differentiates, without a C++ compiler behind it."""
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: whole(module, backend="aot_eager"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends_well(tmp_path):
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path / "reports")])
    assert done.exit_code == 0 and "no GPU" in done.output and not (tmp_path / "reports").exists()


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
    def broken():
        raise ArithmeticError("no reference")

    failed = gpu.measured(ITEM, "eager", "cpu", torch.float64, broken, 1)
    assert failed.state == "failed" and "no reference" in failed.message


def test_what_needs_the_gpu_comes_first_and_graphs_after_all_else_on_it():
    order = [(job.device, job.variant) for job in gpu.jobs()]
    assert order == sorted(order, key=[(device, variant) for device, variant, _ in gpu.PHASES].index)
    assert order[0] == ("cuda", "eager") and order[-1] == ("cpu", "eager")
    first_on_cpu = order.index(("cpu", "eager"))
    assert order[first_on_cpu - 1] == ("cuda", "CUDA graph") and {d for d, _ in order[first_on_cpu:]} == {"cpu"}
    assert {job.item.engine for job in gpu.jobs() if job.variant == "CUDA graph"} == {gpu.LOOP}


def test_time_is_looked_at_before_anything_is_computed(monkeypatch):
    def never(*_):
        raise AssertionError("computed after the time was spent")

    monkeypatch.setattr(gpu.Item, "posed", never)
    told = []
    rows = gpu.suite(gpu.jobs(), seconds=-1.0, progress=told.append)
    assert rows == told and len(rows) == len(gpu.jobs()) and {r.message for r in rows} == {"no time was left for it"}


def test_the_time_of_a_phase_is_its_share(monkeypatch):
    """At 0.6 of the time no eager row of the GPU is begun any more, and compiled ones still are."""
    clock = iter([0.0] + [60.0] * 1000)
    monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(gpu, "measured", lambda item, *how, counts: item.row(how[0], how[1], how[2]))
    rows = gpu.suite(gpu.jobs(), seconds=100.0)
    late = {(r.device, r.variant) for r in rows if "no time" in r.message}
    assert late == {("cuda", "eager")}


def test_the_cpu_is_measured_briefly(monkeypatch):
    seen = []
    monkeypatch.setattr(
        gpu, "measured", lambda *how, counts: (seen.append((how[2], how[5], counts)), ITEM.row("", "", how[3]))[1]
    )
    gpu.suite(gpu.jobs(quick=True), repeat=5)
    assert set(seen) == {("cuda", 5, True), ("cpu", gpu.CPU_REPEAT, False)}


def test_the_report_has_every_row_as_it_comes(tmp_path, expected):
    report = Report(tmp_path, expected=2)
    report.add(replace(row(expected), message="a | b"))
    assert len(pd.read_parquet(tmp_path / "gpu.parquet")) == 1
    page = (tmp_path / "gpu.md").read_text()
    assert "Incomplete: 1 of 2 rows" in page and page.count("\n| M×64") == 1 and "a   b" in page
    report.add(row(1.1 * expected))
    page = (tmp_path / "gpu.md").read_text()
    assert "Incomplete" not in page and page.count("\n| M×64") == len(pd.read_parquet(tmp_path / "gpu.parquet")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gpu.md", "gpu.parquet"]


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (RuntimeError, 1)])
def test_an_abort_keeps_what_was_measured(tmp_path, monkeypatch, stop, status):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("odecheck.bench.gpu_report.about_device", lambda: "a GPU")
    count = iter(range(100))

    def third_fails(item, *how, counts):
        if next(count) == 2:
            raise stop("pulled out")
        return item.row(how[0], how[1], how[2])

    monkeypatch.setattr(gpu, "measured", third_fails)
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path), "--quick"])
    assert done.exit_code == status, done.output
    assert (
        len(pd.read_parquet(tmp_path / "gpu.parquet")) == 2 and "Incomplete: 2 of" in (tmp_path / "gpu.md").read_text()
    )


@pytest.mark.parametrize("quantity", ["solution", "gradient"])
def test_the_loop_that_is_captured_takes_the_steps_of_torchdiffeq(quantity):
    loop, library = (gpu.Item(SMALL, e, FixedStep("rk4", step=0.1), quantity) for e in (gpu.LOOP, Backprop()))
    found, true = (item.posed("cpu", torch.float64)() for item in (loop, library))
    assert float((found - true).abs().max()) < 1e-13 * float(true.abs().max())


@pytest.mark.parametrize("quantity", ["solution", "gradient"])
def test_the_loop_that_is_captured_never_looks_at_a_value(quantity):
    """On the device `meta` there are none: whatever would wait for a GPU raises."""
    item = gpu.Item(SMALL, gpu.LOOP, FixedStep("rk4", step=0.1), quantity)
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
        gpu_variants.captured(replace(ITEM, engine=gpu.LOOP).posed("cpu", torch.float32))
    assert len(put_back) == 1 and put_back[0] is not side


@pytest.mark.parametrize(
    "item",
    [i for i in gpu.plan(True) if "compiled" in i.variants],
    ids=lambda i: f"{i.engine.name}-{i.solver.name}-{i.quantity}",
)
def test_every_compiled_row_of_the_plan_can_be(item, light_compiler):
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
    "script", ["gpu.py", "second_order_continuous.py --device cuda", "snopt_step.py --device cuda"]
)
def test_the_scripts_end_well_without_a_gpu(script, tmp_path):
    name, *words = script.split()
    command = [sys.executable, str(SCRIPTS / name), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "no GPU" in done.stdout + done.stderr and not list(tmp_path.iterdir())
