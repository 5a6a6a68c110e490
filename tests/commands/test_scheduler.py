"""A cluster from the command line: the same records, and words where nobody answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.cli import app
from odecheck.records.run_folder import read_records

ASKED = ["verify", "--claim", "SOL-1,NODE-2,SOL-4", "--subject", "backprop", "--problem", "pendulum", "--quiet"]


def test_a_cluster_gives_the_same_records_by_address_and_by_file(tmp_path: Path):
    distributed = pytest.importorskip("distributed")
    here = CliRunner().invoke(app, [*ASKED, "--run", str(tmp_path / "here")])
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False)
    with cluster, distributed.Client(cluster) as client:
        (tmp_path / "scheduler.json").write_text(
            f'{{"address": "{cluster.scheduler_address}", "type": "Scheduler", "workers": {{}}}}'
        )
        by_address, by_file = (
            CliRunner().invoke(app, [*ASKED, "--run", str(tmp_path / str(i)), "--scheduler", where])
            for i, where in enumerate([cluster.scheduler_address, str(tmp_path / "scheduler.json")])
        )
        assert client.scheduler_info()["workers"]  # they go on
    assert here.exit_code == by_address.exit_code == by_file.exit_code == 0, by_address.output + by_file.output
    runs = [read_records(tmp_path / name)[0] for name in ("here", "0", "1")]
    kept = [[str(sorted(record.repeatable().items())) for record in run] for run in runs]
    assert kept[0] == kept[1] == kept[2] and len(kept[0]) == 6


@pytest.mark.parametrize("command", [["verify"], ["conformance", "scipy"]])
def test_nobody_who_answers_is_said_and_nothing_is_written(command: list[str], tmp_path: Path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("odecheck.commands.scheduler.PATIENCE", 0.5)
    monkeypatch.chdir(tmp_path)
    for where in ("tcp://127.0.0.1:1", "no address at all"):
        done = CliRunner().invoke(app, [*command, "--scheduler", where])
        assert done.exit_code == 2 and "no scheduler answers" in done.output and "dask scheduler" in done.output
    done = CliRunner().invoke(app, [*command, "--scheduler", "tcp://127.0.0.1:1", "--workers", "3"])
    assert done.exit_code == 2 and "the cluster has its own" in done.output


def test_a_cluster_without_workers_is_refused(tmp_path: Path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=False)
    with cluster:
        done = CliRunner().invoke(
            app, [*ASKED, "--run", str(tmp_path / "run"), "--scheduler", cluster.scheduler_address]
        )
    assert done.exit_code == 2 and "has no worker" in done.output
