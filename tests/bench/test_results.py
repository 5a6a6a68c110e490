"""asv's results as series: of the newest result the value, and what failed, was refused or has changed since."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from odecheck.bench import Done, Point, Suite, read_series
from odecheck.bench.results import _kind
from odecheck.errors import BadInput

pytest.importorskip("asv")
ABOUT = {
    "solve.track_nfe": {"type": "track", "unit": "count", "params": [["10", "20"]], "version": "1"},
    "solve.time_solve": {"type": "time", "unit": "seconds", "params": [], "version": "1"},
    "solve.track_error": {"type": "track", "unit": "relative error", "params": [], "version": "1"},
    "solve.track_accuracy": {"type": "track", "unit": "accuracy, higher is better", "params": [], "version": "1"},
    "version": 2,
}


def result(commit, started, values, versions=None, stats=None):
    """A result of asv, as far as it is read."""
    params = {name: [["10", "20"]] if name == "solve.track_nfe" else [] for name in values}
    return SimpleNamespace(
        commit_hash=commit,
        started_at=dict.fromkeys(values, started),
        benchmark_version=dict.fromkeys(values, "1") | (versions or {}),
        get_all_result_keys=lambda: list(values),
        get_result_params=lambda name: params[name],
        _results=values,
        _stats=stats or {},
    )


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Series of results that asv is said to have, at commits a and b."""
    (tmp_path / "benchmarks.json").write_text(json.dumps(ABOUT))
    suite = Suite(Path("asv.conf.json"), tmp_path, tmp_path, tmp_path)

    def series(*results):
        monkeypatch.setattr("asv.results.iter_results_for_machine", lambda folder, machine: iter(results))
        return {one.name: one for one in read_series(suite, "m", ["a", "b"])}

    return series


def test_kinds_names_and_directions(read):
    found = read(result("a", 1, {"solve.track_nfe": [1.0, 2.0]}))
    assert {name: one.kind for name, one in found.items()} == {
        "solve.track_nfe(10)": "count",
        "solve.track_nfe(20)": "count",
        "solve.time_solve": "time",
        "solve.track_error": "error",
        "solve.track_accuracy": "count",
    }
    assert [name for name, one in found.items() if one.higher] == ["solve.track_accuracy"]
    assert [(p.commit, p.state, p.value) for p in found["solve.track_nfe(20)"].points] == [("a", "measured", 2.0)]
    assert [p.state for p in found["solve.time_solve"].points] == ["missing"]


def test_what_failed_or_was_refused_is_a_state(read):
    found = read(
        result("a", 1, {"solve.track_nfe": [None, math.nan], "solve.track_error": None}),
        result("b", 1, {"solve.track_nfe": [4.0, 5.0]}),
    )
    assert [p.state for p in found["solve.track_nfe(10)"].points] == ["failed", "measured"]
    assert [p.state for p in found["solve.track_nfe(20)"].points] == ["missing", "measured"]
    assert [p.state for p in found["solve.track_error"].points] == ["failed", "missing"]


def test_the_newest_result_counts_and_one_of_another_benchmark_does_not(read):
    name = "solve.track_error"
    older, newer = result("a", 1, {name: [1.0]}), result("a", 2, {name: [2.0]})
    for order in ((older, newer), (newer, older)):
        assert read(*order)[name].points[0].value == 2.0
    changed = result("a", 3, {name: [3.0]}, versions={name: "0"})
    assert read(older, changed)[name].points[0].value == 1.0
    assert read(changed)[name].points[0].state == "missing"


def test_the_spread_is_half_of_asvs_interval(read):
    stats = {"solve.time_solve": [{"ci_99_a": 0.9, "ci_99_b": 1.3}]}
    (point,) = read(result("a", 1, {"solve.time_solve": [1.0]}, stats=stats))["solve.time_solve"].points
    assert point.spread == pytest.approx(0.2)
    (point,) = read(result("a", 1, {"solve.time_solve": [1.0]}))["solve.time_solve"].points
    assert math.isnan(point.spread)


def test_no_result_of_these_commits_is_bad_input(read, tmp_path):
    with pytest.raises(BadInput, match="no results of machine 'm' for these 2 commits"):
        read(result("c", 1, {"solve.track_error": [1.0]}))
    (tmp_path / "benchmarks.json").unlink()
    with pytest.raises(BadInput, match=r"there is no .*benchmarks\.json"):
        read(result("a", 1, {"solve.track_error": [1.0]}))


@pytest.mark.parametrize(
    ("unit", "values", "kind"),
    [
        ("us", [7.73, 10.1, 7.9, 7.75], "time"),
        ("ms", [7.0], "time"),
        ("µs", [1.0], "time"),
        ("Seconds", [1.0], "time"),
        ("CPU seconds", [1.0], "time"),
        ("bytes", [1024.0], "memory"),
        ("MiB", [1.5], "memory"),
        ("count of bytes", [1024.0], "count"),
        ("relative error", [1e-7], "error"),
        ("", [7.73, 10.1], "number"),
        ("", [7.0, 10.0], "count"),
        ("steps", [7.0], "count"),
        ("accuracy, higher is better", [0.5], "count"),
    ],
)
def test_what_a_unit_measures(unit, values, kind):
    points = [Point(str(i), "measured", value) for i, value in enumerate([*values, math.nan])]
    assert _kind({"type": "track", "unit": unit}, points) == kind


MESSAGES = {
    "solve.track_nfe": "For parameters: 10\nTraceback\nValueError: broken\n\n\nFor parameters: 20\n\n\n"
    "asv: benchmark timed out (timeout 60.0s)",
    "solve.track_error": "Traceback (most recent call last):\n  here\nRuntimeError: no root",
}


def test_what_asv_said_of_a_failure_is_kept_and_a_time_limit_is_none(read, tmp_path):
    done = Done("a", "", "", False, 2, 1.0, "", "m", "", (0.0, 0.0), {}, "", MESSAGES)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "bench.jsonl").write_text(json.dumps(asdict(done)) + "\n")
    found = read(result("a", 1, {"solve.track_nfe": [None, None], "solve.track_error": None}))
    points = {name: (one.points[0].state, one.points[0].message) for name, one in found.items()}
    assert points["solve.track_nfe(10)"] == ("failed", "ValueError: broken")
    assert points["solve.track_nfe(20)"] == ("time limit", "60 s")
    assert points["solve.track_error"] == ("failed", "RuntimeError: no root")
