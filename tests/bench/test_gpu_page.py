"""The page of the GPU suite from rows alone: what is quickest, and what another commit had."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from odecheck.bench.gpu_page import page, rows_of
from odecheck.bench.gpu_plan import Row
from odecheck.errors import BadInput

SCRIPT = Path(__file__).parents[2] / "asv_bench" / "gpu.py"


def row(engine, wall, variant="eager", nfe=26.0, **more) -> Row:
    made = Row("M×64", engine, "dopri5", "gradient", variant, "cuda", "float64", "measured", wall_seconds=wall * 1e-3)
    return replace(made, nfe_forward=nfe, nfe_backward=0.0, **more)


NOW = [
    row("torchdiffeq backprop", 40.0),
    row("torchdiffeq adjoint", 90.0),
    row("odecheck.discrete", 20.0),
    row("odecheck.discrete", 10.0, "CUDA graph"),
    row("bare loop", 5.0),
    row("odecheck.odeint", 1.0, device="cpu"),
]


def test_the_quickest_of_each_side_comes_first():
    text = page("a GPU", NOW)
    expected = (
        "| 40 torchdiffeq backprop, eager | 10 (×0.25) odecheck.discrete, CUDA graph | 5 (×0.12) bare loop, eager |"
    )
    assert expected in text and text.index(expected) < text.index("## Every row")
    assert "At its quickest" not in page("a GPU", NOW[2:])  # without torchdiffeq there is nothing to compare with


def test_another_commit_stands_beside():
    before = [replace(NOW[0], wall_seconds=0.02), replace(NOW[2], nfe_forward=50.0), row("gone", 1.0)]
    text = page("a GPU", NOW, ("v1", before))
    assert (
        "## Since v1" in text
        and "2 rows are of both. Evaluations of 2 were counted at both, and 1 are the same:" in text
    )
    assert "- M×64, odecheck.discrete, dopri5, gradient, float64: 50, 0 → 26, 0" in text
    assert "| torchdiffeq backprop | eager | 1 | 2.00 | 2.00 | 2.00 |" in text


def test_the_page_is_written_again_without_a_gpu(tmp_path):
    frame = pd.DataFrame([vars(r) for r in NOW])
    frame.assign(made_by="a GPU; odecheck 1").to_parquet(tmp_path / "gpu.parquet")
    frame.drop(columns=["host_reads", "nfe_cpu"]).to_parquet(tmp_path / "gpu-v1.parquet")  # as an earlier version
    again = [sys.executable, str(SCRIPT), str(tmp_path), "--page", "--against", str(tmp_path / "gpu-v1.parquet")]
    subprocess.run(again, check=True, capture_output=True)
    text = (tmp_path / "gpu.md").read_text()
    assert "a GPU; odecheck 1. 6 rows; 0 failed, none other than on the CPU." in text and "## Since v1" in text


def test_a_table_of_something_else_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "gpu.parquet")
    with pytest.raises(BadInput, match="no rows of the GPU suite"):
        rows_of(tmp_path / "gpu.parquet")
    with pytest.raises(BadInput, match="no rows of the GPU suite"):
        rows_of(tmp_path / "missing.parquet")
