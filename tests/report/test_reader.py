"""The tables that a report reads: trainings, runs, histories of benchmarks."""

import json

import pytest

from odecheck.report import build
from odecheck.report.reader import read_all
from odecheck.report.tables import kinds
from odecheck.report.text import Chart, Table
from tests.report_runs import ALL, FAILED, everything, run, training


def test_training_is_the_median_over_seeds(tmp_path):
    (tmp_path / "t").mkdir()
    training().to_parquet(tmp_path / "t" / "training.parquet")
    charts = {b.id: b for s in build([tmp_path / "t"]).sections for b in s.blocks if isinstance(b, Chart)}
    loss = charts["training-1-nested-spheres"].panels[0].series[0]
    assert list(loss.x) == [10, 20, 30, 40, 50]
    assert list(loss.y) == [pytest.approx(1 / (1 + e + 0.1)) for e in range(1, 6)]
    assert list(loss.low or ()) == [pytest.approx(1 / (1 + e + 0.2)) for e in range(1, 6)]
    assert {p.title for p in charts["nfe-1-nested-spheres"].panels} == {"forward NFE, train", "backward NFE, train"}


def test_two_runs_of_one_report_keep_apart(tmp_path):
    report = build([run(tmp_path / "a" / "same", [FAILED]), run(tmp_path / "b" / "same", [FAILED])])
    assert len(report.stories) == 2
    table = next(b for s in report.sections for b in s.blocks if isinstance(b, Table) and b.id == "records")
    assert list(table.frame["run"]) == ["same", "same (2)"]


def test_tables_of_folders_right_below_are_found(tmp_path):
    everything(tmp_path / "all")
    found = read_all([tmp_path / "all"])
    assert set(found.tables) == set(kinds())
    assert len(found.records) == len(ALL)


def test_results_of_asv_are_a_history(tmp_path):
    """Two commits in asv's own files, the later one first by name; a machine without results says nothing."""
    pytest.importorskip("asv")
    folder = tmp_path / "results"
    for machine in ("here", "empty"):
        (folder / machine).mkdir(parents=True)
        (folder / machine / "machine.json").write_text(json.dumps({"machine": machine, "version": 1}))
    about = {
        "name": "solve.track_nfe",
        "type": "track",
        "unit": "evaluations",
        "params": [["'a'", "'b'"]],
        "param_names": ["engine"],
        "version": "1",
        "code": "",
    }
    (folder / "benchmarks.json").write_text(json.dumps({"solve.track_nfe": about, "version": 2}))
    columns = ["result", "params", "version"]
    for commit, date, values in (("b" * 40, 1_000, [10.0, 20.0]), ("a" * 40, 2_000, [15.0, None])):
        found = {
            "commit_hash": commit,
            "env_name": "e",
            "date": date,
            "params": {"machine": "here"},
            "python": "3.11",
            "requirements": {},
            "env_vars": {},
            "result_columns": columns,
            "durations": {},
            "version": 2,
            "results": {"solve.track_nfe": [values, [["'a'", "'b'"]], "1"]},
        }
        (folder / "here" / f"{commit[:8]}-e.json").write_text(json.dumps(found))
    report = build([folder])
    assert report.damaged == [] and [s.id for s in report.sections] == ["history"]
    chart, table = report.sections[0].blocks
    assert isinstance(chart, Chart) and isinstance(table, Table)
    assert list(table.frame["value"]) == [10.0, 15.0, 20.0]
    line = chart.panels[0].series[1]
    assert list(line.x) == ["b" * 8, "a" * 8] and list(line.y) == [1.0, 1.5]
