"""The page of the GPU suite: every row as it comes, and what was measured before an abort."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu
from odecheck.bench.gpu_report import Report
from odecheck.cli import app
from tests.bench.computations import ITEM, row


@pytest.fixture(scope="module")
def expected():
    return ITEM.posed("cpu", torch.float64)().double()


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
