"""The page of the GPU suite: every row as it comes, and what was measured before an abort."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu, gpu_plan
from odecheck.bench.gpu_report import Report
from odecheck.cli import app
from tests.bench.computations import ITEM, row


@pytest.fixture(scope="module")
def expected():
    return ITEM.posed("cpu", torch.float64)().double()


def test_the_report_has_every_row_as_it_comes(tmp_path, expected):
    first, second = row(expected), replace(row(1.1 * expected), dtype="float32")
    report = Report(tmp_path, [first.key, second.key])
    report.add(replace(first, message="a | b"))
    assert len(pd.read_parquet(tmp_path / "gpu.parquet")) == 1
    page = (tmp_path / "gpu.md").read_text()
    assert "Incomplete: 1 of 2 rows" in page and page.count("\n| M×64") == 1 and "a   b" in page
    report.add(second)
    page = (tmp_path / "gpu.md").read_text()
    assert "Incomplete" not in page and page.count("\n| M×64") == len(pd.read_parquet(tmp_path / "gpu.parquet")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gpu.md", "gpu.parquet"]


def in_this_one(jobs, workers):
    """In place of the pool: what is asked of a worker is done here."""
    return ((job.key, part) for job in jobs for part in job.work(*job.arguments))


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (RuntimeError, 1)])
def test_an_abort_keeps_what_was_measured(tmp_path, monkeypatch, stop, status):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("odecheck.bench.gpu_report.about_device", lambda: "a GPU")
    count = iter(range(100))

    def third_fails(item, *how, counts):
        if next(count) == 2:
            raise stop("pulled out")
        return gpu.row_of(item, *how[:3])

    monkeypatch.setattr(gpu, "measured", third_fails)
    monkeypatch.setattr(gpu, "in_processes", in_this_one)
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path), "--quick"])
    assert done.exit_code == status, done.output
    assert (
        len(pd.read_parquet(tmp_path / "gpu.parquet")) == 2 and "Incomplete: 2 of" in (tmp_path / "gpu.md").read_text()
    )
