"""The GPU suite where there is no GPU: it says so, its rows are right on the CPU, and what cannot be done is a row."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu
from odecheck.cli import app
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import Adaptive, FixedStep

SCRIPTS = Path(__file__).parent.parent / "asv_bench"
SMALL = next(iter(gpu.SIZES))
SOLVER = FixedStep("rk4", step=0.25)


@pytest.fixture(scope="module")
def expected():
    return gpu.posed(SMALL, Backprop(), SOLVER, "gradient", "cpu", torch.float64)().double()


def row(expected, variant="eager", dtype=torch.float64, device="cpu"):
    return gpu.measured(SMALL, Backprop(), SOLVER, "gradient", variant, device, dtype, expected, 1)


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


def test_no_row_is_lost_when_time_runs_out_and_the_report_has_them_all(tmp_path, monkeypatch, expected):
    monkeypatch.setattr(gpu, "plan", lambda quick: [(SMALL, Backprop(), Adaptive("dopri5", rtol=1e-4), "solution")])
    rows = gpu.suite(devices=("cpu", "cuda"), seconds=-1.0, quick=True)
    assert len(rows) == 2 + 6 and all("no time" in r.message for r in rows)
    rows[0] = replace(row(expected), message="a | b")
    page = gpu.write(rows, tmp_path, 1.0).read_text()
    assert page.count("\n| M×64") == 8 and "a   b" in page
    assert len(pd.read_parquet(tmp_path / "gpu.parquet")) == 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("script", ["gpu.py", "second_order_continuous.py --device cuda"])
def test_the_scripts_end_well_without_a_gpu(script, tmp_path):
    name, *words = script.split()
    command = [sys.executable, str(SCRIPTS / name), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "no GPU" in done.stdout + done.stderr and not list(tmp_path.iterdir())
