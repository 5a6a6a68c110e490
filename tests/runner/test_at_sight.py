"""A stiff field is seen before anything is solved, said in words, and given solvers that can solve it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from odecheck import module_pairs
from odecheck.commands.forecast import line
from odecheck.problem_sets.conformance import network
from odecheck.runner import at_sight
from odecheck.runner.at_sight import MOST, STEPS, Sight, load, remember, remembered, step_of, too_stiff
from odecheck.runner.case import plan
from odecheck.runner.estimate import BESIDE, LOAD, of_units


class Relaxation(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k))

    def forward(self, t, y):
        return -self.k * (y - torch.cos(t))


class Robertson(nn.Module):
    """Not stiff at its start, where there is nothing of the second substance."""

    def forward(self, t, y):
        a, b, c = y.unbind(-1)
        return torch.stack([1e4 * b * c - 0.04 * a, 0.04 * a - 3e7 * b * b - 1e4 * b * c, 3e7 * b * b], -1)


@pytest.mark.parametrize("k", [2.0, 1e3])
def test_time_constants_are_counted(k):
    (_, problem), *_ = module_pairs(Relaxation(k), [[0.5]], [0.0, 1.0, 4.0])
    assert remembered(problem).constants == pytest.approx(4 * k)
    (_, backwards), *_ = module_pairs(Relaxation(k), [[0.5]], [1.0, 0.5, 0.0])
    assert remembered(backwards).constants == 0.0  # it grows


def test_stiffness_that_comes_later_is_seen():
    (subject, problem), *others = module_pairs(Robertson(), [[1.0, 0.0, 0.0]], [0.0, 40.0])
    assert 1e4 < remembered(problem).constants < 1e6
    assert too_stiff(problem) and "Radau" in subject.name and not others


def test_the_estimate_says_so_and_is_larger():
    plain, stiff = (plan(module_pairs(Relaxation(k), [[0.5]]), None, ["SOL-2"]) for k in (2.0, 1e3))
    assert "about" in line(plain, 1).splitlines()[0] and len(line(plain, 1).splitlines()) == 1
    first, second = line(stiff, 1).splitlines()
    assert "at least" in first and "is stiff: its fastest decay has 1e+03 time constants" in second
    assert 20 * remembered(plain[0].problem).calls < remembered(stiff[0].problem).calls


def test_what_was_measured_with_a_formula_of_its_own_is_as_it_was():
    assert load(network()) == 0.0


class Singular(nn.Module):
    """Its solution leaves for infinity at t = 1."""

    def forward(self, t, y):
        return y * y


class Taking(Relaxation):
    """A call takes so many seconds of a clock that only calls move."""

    now = 0.0

    def __init__(self, seconds):
        super().__init__(2.0)
        self.takes = seconds

    def forward(self, t, y):
        Taking.now += self.takes
        return super().forward(t, y)


@pytest.mark.parametrize(
    ("begin", "place", "half"), [(0.0, "1", "0.5"), (1000.0, "1001", "1000.5"), (-10.0, "-9", "-9.5")]
)
def test_a_solve_that_does_not_arrive_is_said_with_a_window_that_is_short_enough(begin, place, half):
    units = plan(module_pairs(Singular(), [[1.0]], [begin, begin + 0.9, begin + 2.0]), None, ["SOL-2"])
    assert remembered(units[0].problem).left == pytest.approx(begin + 1.0, abs=1e-3)
    first, second = line(units, 1).splitlines()
    assert "at least" in first and f"comes to t = {place} of {begin:g} to {begin + 2:g}, and no further" in second
    assert f"ts = [{begin:g}, {half}]" in second and f"--times '[{begin:g}, {half}]'" in second


def test_what_is_dear_is_told_by_one_evaluation(monkeypatch):
    monkeypatch.setattr(at_sight, "time", SimpleNamespace(process_time=lambda: Taking.now))
    cases = [plan(module_pairs(Taking(seconds), [[0.5]]), None, ["NODE-2"]) for seconds in (1e-4, 1e-2)]
    plain, slow = (remembered(units[0].problem) for units in cases)
    assert plain.calls == slow.calls > 10 and plain.left is slow.left is None
    assert (plain.seconds, slow.seconds) == (pytest.approx(1e-4), pytest.approx(1e-2))
    cheap, dear = (of_units(units).seconds for units in cases)
    loads = [sight.calls * sight.seconds / LOAD for sight in (plain, slow)]
    assert dear / cheap == pytest.approx((BESIDE + loads[1]) / (BESIDE + loads[0]))


def test_a_look_is_left_when_its_seconds_are_used_up(monkeypatch):
    monkeypatch.setattr(at_sight, "time", SimpleNamespace(process_time=lambda: Taking.now))
    (_, problem), *_ = module_pairs(Taking(at_sight.SECONDS / 15), [[0.5]])
    assert remembered(problem).left is not None and 0 < remembered(problem).left < 1


def test_a_long_window_of_a_field_that_bends_has_more_steps():
    (_, problem), *_ = module_pairs(Relaxation(2.0), [[0.5]], [0.0, 1.0, 4.0])
    for calls, steps in ((20.0, STEPS), (2.0 * 200, 200), (1e9, MOST // 2)):
        remember(problem, Sight(bent=True, calls=calls, seconds=1e-3))
        assert step_of(problem) == pytest.approx(4 / steps)
        assert load(problem) == pytest.approx(0.6e-3 * steps)


class Outside(nn.Module):
    """It has no value at its start, or beyond a time."""

    def __init__(self, until):
        super().__init__()
        self.until = until

    def forward(self, t, y):
        return torch.where(t < self.until, -y, torch.nan)


@pytest.mark.parametrize(("until", "left"), [(-1.0, None), (0.5, 0.5)])
def test_a_look_at_what_has_no_value_comes_to_an_end(until, left):
    (_, problem), *_ = module_pairs(Outside(until), [[1.0]])
    assert remembered(problem).left == (left if left is None else pytest.approx(left, abs=1e-3))
