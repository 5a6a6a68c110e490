"""Benchmarks across commits, on a scratch repository whose history is known, with asv itself and its own files."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck.bench import Suite, changes, read_done, read_series, run_commits
from odecheck.bench.pairs import PairsError, PairServer, paired
from odecheck.bench.suite import source_folders
from odecheck.commands.cli import app

pytest.importorskip("asv")
from tests.scratch_history import scratch

MACHINE = "scratch-machine"
MORE, SLOWER, BREAKS, BETTER = 3, 6, 9, 11
HISTORY: list[dict] = [{} for _ in range(15)]
HISTORY[MORE] = {"stages": 5}
HISTORY[SLOWER] = {"work": 130}
HISTORY[BREAKS] = {"broken": True}
HISTORY[BETTER] = {"stages": 3}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A benchmarked repository: one commit with an evaluation more, one slower, one that breaks, one better, ten that
    change nothing."""
    folder = tmp_path_factory.mktemp("scratch")
    commits = scratch(folder, HISTORY)
    suite = Suite.load(folder / "asv_bench" / "asv.conf.json")
    done = run_commits(suite, commits, machine=MACHINE)
    assert [d.status for d in done] == [2 if i >= BREAKS else 0 for i in range(15)], done[0].output
    return suite, commits


def test_what_changed_and_nothing_else(history):
    suite, commits = history
    series = read_series(suite, MACHINE, commits)
    assert len(series) == 5 and {s.kind for s in series} == {"count", "time"}
    found = [c for c in changes(series) if c.confidence == "exact"]
    seen = {(c.series, commits.index(c.after), commits.index(c.at), c.direction, c.ratio) for c in found}
    nan = pytest.approx(math.nan, nan_ok=True)
    assert {(*row[:4],) for row in seen} == {
        ("solve.Solve.track_nfe(10)", 2, MORE, "worse"),
        ("solve.Solve.track_nfe(20)", 2, MORE, "worse"),
        ("solve.Answer.track_answer", 8, BREAKS, "failed"),
        ("solve.Solve.track_nfe(10)", 10, BETTER, "better"),
        ("solve.Solve.track_nfe(20)", 10, BETTER, "better"),
    }
    by_series = {(c.series, c.direction): c for c in found}
    assert by_series["solve.Solve.track_nfe(10)", "worse"].ratio == 5 / 4
    assert by_series["solve.Solve.track_nfe(20)", "better"].ratio == 3 / 5
    broken = by_series["solve.Answer.track_answer", "failed"]
    assert broken.ratio == nan and broken.detail == "measured → failed: ValueError: broken since this commit"


@pytest.mark.parametrize(
    ("first", "last", "status"),
    [(0, 2, 0), (0, 3, 1), (3, 8, 0), (8, 9, 1), (9, 10, 0), (10, 14, 0), (0, 14, 1)],
)
def test_the_exit_status_says_whether_counts_became_worse(history, first, last, status):
    suite, commits = history
    span = f"{commits[first]}..{commits[last]}"
    done = CliRunner().invoke(app, ["regressions", span, "--config", str(suite.config), "--machine", MACHINE])
    assert done.exit_code == status, done.output
    if (first, last) == (0, 14):
        assert f"{commits[2][:8]}..{commits[3][:8]}" in done.output and "40 → 50 (×1.25)" in done.output


def test_the_page_of_a_history(history, tmp_path):
    suite, commits = history
    span = ["regressions", f"{commits[0]}..{commits[-1]}", "--config", str(suite.config), "--machine", MACHINE]
    done = CliRunner().invoke(app, [*span, "--page", str(tmp_path), "--table", str(tmp_path / "changes.parquet")])
    assert done.exit_code == 1, done.output
    text = (tmp_path / "history.md").read_text()
    assert "solve.Solve.track_nfe(10) | 40 | 40 | 40 | 50 |" in text and text.count("| failed") == 15 - BREAKS
    table = pd.read_parquet(tmp_path / "history.parquet")
    assert len(table) == 5 * 15 and set(table.state) == {"measured", "failed"} and set(table.machine) == {MACHINE}
    assert len(pd.read_parquet(tmp_path / "changes.parquet")) == 5 and (tmp_path / "history.svg").exists()


def test_a_run_resumes_and_records_what_it_ran_with(history):
    suite, commits = history
    before = read_done(suite, MACHINE)
    again = run_commits(suite, [commits[0], commits[2]], machine=MACHINE)
    assert read_done(suite, MACHINE) == before and [d.commit for d in again] == [commits[0], commits[2]]
    assert before[0].versions["asv"] and before[0].device and len(before[0].load) == 2
    with (suite.results / MACHINE / "bench.jsonl").open("a") as journal:
        journal.write('{"commit": "cut o')
    assert read_done(suite, MACHINE) == before


def test_of_two_environments_the_newer_result_counts(history, tmp_path):
    suite, commits = history
    copied = replace(suite, results=tmp_path / "results")
    shutil.copytree(suite.results, copied.results)
    (kept,) = (copied.results / MACHINE).glob(f"{commits[0][:8]}-*.json")
    for name, later, factor in (("aaa", +1, 2), ("zzz", -1, 3)):  # whatever their files are called
        other = json.loads(kept.read_text())
        started, result = (other["result_columns"].index(column) for column in ("started_at", "result"))
        row = other["results"]["solve.Solve.track_nfe"]
        row[started] += later
        row[result] = [factor * value for value in row[result]]
        kept.with_name(f"{commits[0][:8]}-{name}.json").write_text(json.dumps({**other, "env_name": name}))
    nfe = next(s for s in read_series(copied, MACHINE, commits[:1]) if s.name == "solve.Solve.track_nfe(10)")
    assert nfe.points[0].value == 2 * 40


@pytest.mark.parametrize(("last", "status"), [(SLOWER, 1), (SLOWER + 1, 0)])
def test_a_quarter_more_cpu_time_sets_the_exit_status_and_a_null_commit_does_not(history, tmp_path, last, status):
    """No count changes at either commit: without --paired the status is 0."""
    suite, commits = history
    span = f"{commits[last - 1]}..{commits[last]}"
    words = ["regressions", span, "--config", str(suite.config), "--machine", MACHINE]
    assert CliRunner().invoke(app, words).exit_code == 0
    table = tmp_path / "changes.parquet"
    done = CliRunner().invoke(app, [*words, "--paired", "--timed", "time_solve(20)", "--table", str(table)])
    assert done.exit_code == status, done.output
    assert "1 series, 1 pairs of commits" in done.output
    found = pd.read_parquet(table)
    assert len(found) == status
    for change in found.itertuples():
        assert (change.at, change.direction, change.confidence) == (commits[SLOWER], "worse", "paired")
        assert 1.15 < change.ratio < 1.4


def test_what_was_compared_in_pairs_is_told(history, tmp_path):
    suite, commits = history
    span = ["regressions", f"{commits[0]}..{commits[1]}", "--config", str(suite.config), "--machine", MACHINE]
    done = CliRunner().invoke(app, [*span, "--paired", "--timed", "nowhere", "--page", str(tmp_path)])
    assert done.exit_code == 0 and "no timed series has two of these commits" in done.output
    assert "no timed series has two of these commits." in (tmp_path / "history.md").read_text()


def test_a_side_that_fails_is_an_error_and_no_time(history):
    suite, commits = history
    with (
        PairServer(("asv_runner.discovery",)) as server,
        suite.checkout(commits[8]) as before,
        suite.checkout(commits[9]) as after,
    ):
        sides = source_folders(before), source_folders(after)
        with pytest.raises(PairsError, match="broken"):
            paired(server, suite.benchmarks, "solve.Answer.track_answer", sides, processes=2)
        with pytest.raises(PairsError):
            paired(server, suite.benchmarks, "solve.Nowhere.time_it", sides, processes=2)
