"""The page of the GPU suite: every row as it comes, and what was measured before an abort."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck.bench import gpu
from odecheck.bench.gpu_report import Report
from odecheck.commands.cli import app
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
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path), "--quick"])
    assert done.exit_code == status, done.output
    assert (
        len(pd.read_parquet(tmp_path / "gpu.parquet")) == 2 and "Incomplete: 2 of" in (tmp_path / "gpu.md").read_text()
    )


def two_of_each() -> list:
    """Two rows that need a GPU and one that does not."""
    found = gpu.jobs(quick=True)
    return [found[0], found[1], next(job for job in found if job.device == "cpu")]


def test_what_was_measured_is_kept_and_what_failed_is_asked_again(tmp_path, monkeypatch):
    order = [job.row().key for job in two_of_each()]
    report = Report(tmp_path, order)
    report.add(two_of_each()[2].row())
    report.add(two_of_each()[0].row("failed", "no time"))
    again = Report(tmp_path, order)
    assert again.done == {order[2]} and again.kept == 1
    again.add(two_of_each()[0].row())
    assert [r.key for r in again.rows] == [order[0], order[2]]
    assert "1 of them by an earlier run" in (tmp_path / "gpu.md").read_text()
    (tmp_path / "gpu.md").unlink()
    monkeypatch.setattr("odecheck.bench.gpu_report.own_text", lambda: "another")
    assert Report(tmp_path, order).kept == 0
    (tmp_path / "gpu.parquet").write_bytes(b"torn")
    assert Report(tmp_path, order).kept == 0


def test_other_results_than_on_the_cpu_are_said_and_are_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("odecheck.bench.gpu_report.about_device", lambda: "a GPU")
    monkeypatch.setattr(gpu, "measured", lambda item, *how, counts: gpu.row_of(item, *how[:3], "failed", gpu.WRONG))
    monkeypatch.setattr(gpu, "in_processes", in_this_one)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(gpu.os, "_exit", lambda status: None)
    done = CliRunner().invoke(app, ["bench", "--gpu", str(tmp_path), "--quick"])
    assert done.exit_code == 1 and "other results" in done.output
    assert "of them other than on the CPU" in (tmp_path / "gpu.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_failed_row_ends_its_process_and_the_others_go_on():
    """Workers as they are: without a GPU both rows of one fail, each in a process of its own."""
    wanted = {job.row().key for job in two_of_each()}
    done = {job.row().key for job in gpu.jobs(quick=True)} - wanted
    rows = []
    gpu.suite_in_workers(True, done=done, repeat=1, progress=rows.append)
    assert [row.state for row in rows] == ["failed", "failed", "measured"] and {r.key for r in rows} == wanted
    assert all("died" not in row.message and row.message for row in rows[:2])


def test_a_row_that_hangs_or_crashes_is_a_failed_row_and_the_others_go_on(monkeypatch):
    calls = []

    def crashes(jobs, workers):
        (job,) = jobs
        places = job.arguments[1]
        calls.append(list(places))
        yield job.key, gpu.jobs(quick=True)[places[0]].row()
        if len(places) > 1:
            yield job.key, gpu.Failure("late", "no answer in time")

    monkeypatch.setattr(gpu, "in_processes", crashes)
    rows, every = [], [job.row().key for job in gpu.jobs(quick=True)]
    gpu.suite_in_workers(True, done=every[5:], progress=rows.append)
    assert [row.state for row in rows] == ["measured", "failed", "measured", "failed", "measured"]
    assert [row.key for row in rows] == every[:5] and [len(c) for c in calls] == [5, 3, 1]
    assert rows[1].message == "no answer in time"
