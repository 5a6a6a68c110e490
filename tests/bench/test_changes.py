"""What changed between commits: states, directions, and how sure."""

from __future__ import annotations

import math

import pytest

from odecheck.bench import changes, exit_status
from odecheck.bench.changes import in_words
from odecheck.bench.thresholds import Thresholds
from tests.bench.series import series


def test_states_directions_and_confidence():
    failed = changes([series(1.0, "failed", "failed", 1.0)])
    assert [(c.after, c.at, c.direction) for c in failed] == [("0", "1", "failed"), ("2", "3", "mended")]
    hidden = changes([series(1.0, "missing", 2.0)])  # the change lies somewhere between
    assert [(c.after, c.at, c.direction) for c in hidden] == [("0", "1", "missing"), ("0", "2", "worse")]
    assert changes([series("missing", "missing", 1.0, 1.0)]) == []
    assert exit_status(changes([series(1.0, "missing")])) == 0
    assert exit_status(changes([series(1.0, "missing")]), strict=True) == 1
    (better,) = changes([series(0.5, 0.9, unit="accuracy, higher is better")])
    assert better.direction == "better" and exit_status([better]) == 0
    assert exit_status(changes([series(0.9, 0.5, unit="accuracy, higher is better")])) == 1
    assert changes([series(1e-6, 1.001e-6, kind="error", unit="relative error")]) == []
    assert exit_status(changes([series(1e-6, 1.1e-6, kind="error", unit="relative error")])) == 1
    (advice,) = changes([series(1.0, 2.0, kind="time", unit="seconds")])
    assert advice.confidence == "advice" and exit_status([advice]) == 0
    (from_zero,) = changes([series(0.0, 1.0)])
    assert from_zero.direction == "worse" and from_zero.ratio == math.inf


def grown(step: float, number: int, wiggle: float = 0.0) -> list[float]:
    """A value that grows by the same factor at every commit, and in turn lies above and below that."""
    return [100 * step**i * (1 + wiggle * (-1) ** i) for i in range(number)]


def test_an_error_that_creeps_is_found_though_no_step_counts():
    """21 commits of +0.9 %: +19.6 %."""
    (crept,) = changes([series(*grown(1.009, 21), kind="error", unit="relative error")])
    assert crept.crept and (crept.after, crept.at) == ("0", "20") and crept.ratio == pytest.approx(1.009**20)
    assert exit_status([crept]) == 1 and "20 small steps" in in_words(crept) and in_words(crept).startswith("crept")
    assert changes([series(*grown(1.009, 2), kind="error", unit="relative error")]) == []
    assert changes([series(*grown(1.0, 30, wiggle=0.004), kind="error", unit="relative error")]) == []


def test_times_that_creep_are_advice():
    """+4 % × 10: +48 %, of which asv's intervals of 3 % and neighbours of less than 10 % say nothing."""
    (crept,) = changes([series(*grown(1.04, 11), kind="time", unit="seconds")])
    assert crept.crept and crept.confidence == "advice" and crept.direction == "worse" and exit_status([crept]) == 0
    lucky = [1.0, 1.0, 1.0, 0.8, 1.0, 1.0, 1.0, 1.0]  # one time below all others is no level
    assert not any(c.crept for c in changes([series(*lucky, kind="time", unit="seconds")]))


def test_what_came_with_one_commit_has_not_crept():
    values = {"error": (1.0, 1.0, 1.5, 1.5, 1.5), "count": (4.0, 5.0, 5.0, 5.0)}
    for kind, points in values.items():
        (jump,) = changes([series(*points, kind=kind, unit="relative error")])
        assert not jump.crept and jump.direction == "worse"
    both = changes([series(1.0, *(1.5 * 1.009**i for i in range(8)), kind="error", unit="relative error")])
    assert [c.crept for c in both] == [False, True] and "beside changes of ×1.5" in both[1].detail
    mended = changes([series(2.0, 1.0, *(1.009**i for i in range(1, 12)), kind="error", unit="relative error")])
    assert [(c.direction, c.crept, c.after) for c in mended] == [("better", False, "0"), ("worse", True, "1")]


@pytest.mark.parametrize("own", [None, 0.0])
def test_a_count_never_creeps_whatever_its_ratios_are_rounded_to(own):
    """37 / (18/6 · 37/18) is above 6 by rounding."""
    thresholds = Thresholds({} if own is None else {"b": own})
    for values in ((6.0, 18.0, 37.0, 37.0), (3.0, 7.0, 7.0), (10.0, 49.0, 7.0, 49.0, 50.0)):
        found = changes([series(*values)], thresholds)
        assert found and not any(change.crept for change in found)


def test_an_accuracy_creeps_downwards():
    (crept,) = changes([series(*grown(0.995, 40), kind="error", unit="error rate, higher is better")])
    assert crept.crept and crept.direction == "worse"
    assert changes([series(*grown(1.005, 40), kind="error", unit="error rate, higher is better")]) == []


def test_thresholds_of_ones_own_decide_whatever_is_measured():
    slower = series(1.0, 1.3, kind="time", unit="seconds")
    assert exit_status(changes([slower])) == 0
    assert exit_status(changes([slower], Thresholds({"^b$": 0.25}))) == 1
    assert changes([slower], Thresholds({"^b$": 0.35})) == []
    assert changes([series(100.0, 104.0)], Thresholds({"b": 0.05})) == []
    assert exit_status(changes([series(100.0, 106.0)], Thresholds({"b": 0.05}))) == 1
    assert exit_status(changes([series(100.0, 101.0)], Thresholds({"another": 0.05}))) == 1
    (last,) = changes([series(100.0, 104.0)], Thresholds({"b": 0.5, "": 0.01}))
    assert last.confidence == "your threshold" and "0.01" in in_words(last)
    (crept,) = changes([series(*grown(1.04, 5))], Thresholds({"b": 0.1}))
    assert crept.crept and crept.gates


def test_a_time_limit_is_told_apart_from_a_failure():
    found = changes([series(1.0, "time limit", "failed", 1.0)])
    assert [(c.direction, c.detail) for c in found] == [
        ("failed", "measured → time limit"),
        ("failed", "time limit → failed"),
        ("mended", "failed → measured"),
    ]
