"""A cluster from the command line: the same records, and words where nobody answers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from odecheck.commands.cli import app
from odecheck.commands.scheduler import cluster as cluster_of
from odecheck.errors import BadInput
from odecheck.records.journal import Journal as Lines
from odecheck.records.run_folder import read_records
from odecheck.records.table import read_table
from odecheck.training.rows import MEASURED, read

ASKED = ["verify", "--claim", "SOL-1,NODE-2,SOL-4", "--subject", "backprop", "--problem", "pendulum", "--quiet"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False) as one:
        yield one


def typed(*words: object) -> Result:
    """Type a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_cluster_gives_the_same_records_by_address_and_by_file(tmp_path: Path, cluster):
    here = typed(*ASKED, "--run", tmp_path / "here")
    (tmp_path / "scheduler.json").write_text(
        f'{{"address": "{cluster.scheduler_address}", "type": "Scheduler", "workers": {{}}}}'
    )
    by_address, by_file = (
        typed(*ASKED, "--run", tmp_path / str(i), "--scheduler", where)
        for i, where in enumerate([cluster.scheduler_address, tmp_path / "scheduler.json"])
    )
    assert cluster.workers  # they go on
    assert here.exit_code == by_address.exit_code == by_file.exit_code == 0, by_address.output + by_file.output
    runs = [read_records(tmp_path / name)[0] for name in ("here", "0", "1")]
    kept = [[str(sorted(record.repeatable().items())) for record in run] for run in runs]
    assert kept[0] == kept[1] == kept[2] and len(kept[0]) == 6


COUNTED = [
    "cost",
    "--problem",
    "second",
    "--subject",
    "dopri5(rtol=0.001), odecheck",
    "--quantity",
    "solution",
    "--rungs",
    "2",
    "--repeat",
    "0",
]


def test_costs_are_counted_on_a_cluster_as_they_are_here(tmp_path: Path, cluster):
    for name, more in (("here", ()), ("there", ("--scheduler", cluster.scheduler_address))):
        done = typed(*COUNTED, *more, "--run", tmp_path / name)
        assert done.exit_code == 0, done.output
    here, there = (read_table(tmp_path / name / "cost.parquet").frame for name in ("here", "there"))
    assert len(here) and here.equals(there)


def test_the_self_test_judges_the_same_on_a_cluster(tmp_path: Path, cluster):
    asked = ["selftest", "--part", "hard,bars", "--hard", "2", "--problems", "1"]
    for name, more in (("here", ()), ("there", ("--scheduler", cluster.scheduler_address))):
        done = typed(*asked, *more, "--run", tmp_path / name)
        assert done.exit_code == 0, done.output
    for part in ("hard", "bars"):
        here, there = (
            {one["key"]: one for one in Lines(tmp_path / name / f"{part}.jsonl").entries[1:]}
            for name in ("here", "there")
        )
        assert here and {key: repr(one["rows"]) for key, one in here.items()} == {
            key: repr(one["rows"]) for key, one in there.items()
        }
        assert all(one["cpu_seconds"] > 0 for one in there.values())
    for more in (["--part", "mutants"], ["--quick"], ["--so-far"]):
        done = typed("selftest", *more, "--scheduler", "tcp://127.0.0.1:1", "--run", tmp_path / "none")
        assert done.exit_code == 2 and "--scheduler would be ignored" in done.output


def test_models_are_trained_on_a_cluster(tmp_path: Path, cluster):
    asked = ["train", "spheres", "--model", "NODE", "--epochs", "2"]
    for name, more in (("here", ()), ("there", ("--scheduler", cluster.scheduler_address))):
        done = typed(*asked, *more, "--run", tmp_path / name)
        assert done.exit_code == 0, done.output
    here, there = (read(tmp_path / name).drop(columns=[*MEASURED]) for name in ("here", "there"))
    assert len(here) and here.equals(there)


@pytest.mark.parametrize("command", [["verify"], ["conformance", "scipy"], ["cost"], ["train", "spheres"]])
def test_nobody_who_answers_is_said_and_nothing_is_written(command: list[str], tmp_path: Path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("odecheck.commands.scheduler.PATIENCE", 0.5)
    monkeypatch.chdir(tmp_path)
    for where in ("tcp://127.0.0.1:1", "no address at all"):
        done = typed(*command, "--scheduler", where)
        assert done.exit_code == 2 and "no scheduler answers" in done.output and "dask scheduler" in done.output
    if command != ["cost"]:
        done = typed(*command, "--scheduler", "tcp://127.0.0.1:1", "--workers", 3)
        assert done.exit_code == 2 and "the cluster has its own" in done.output
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_client_is_collected_while_another_begins(monkeypatch):
    """It would close itself by a lock that the one that begins holds, and both would wait for ever."""
    distributed = pytest.importorskip("distributed")
    collecting = list[bool]()

    def begins(**_: object) -> None:
        collecting.append(gc.isenabled())
        raise OSError("nobody")

    monkeypatch.setattr(distributed, "Client", begins)
    with pytest.raises(BadInput, match="no scheduler answers"), cluster_of("tcp://127.0.0.1:1"):
        pass
    assert collecting == [False] and gc.isenabled()


def test_a_cluster_without_workers_is_refused(tmp_path: Path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=False)
    with cluster:
        done = CliRunner().invoke(
            app, [*ASKED, "--run", str(tmp_path / "run"), "--scheduler", cluster.scheduler_address]
        )
    assert done.exit_code == 2 and "has no worker" in done.output
