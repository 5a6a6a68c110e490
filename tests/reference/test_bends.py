"""Fields that bend hundreds of times along one solution: the truth by steps that are halved, against closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from odecheck_reference import FlowError, Problem, adjoint_states, gradient, losses, solution
from odecheck_reference.bends import bends_at_all, is_bent
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Jet
from odecheck_reference.halved import AIM, AIM_OF_STATES

WIDE, ROWS, END = 20, 12, 2.0


@dataclass(frozen=True)
class Bent:
    """y_j' = 1 + k_j |y_j| + jump · [y_j > 0]: each number of each row bends once, where it passes zero."""

    jump: float = 0.0
    jumping: int = WIDE  # so many of its numbers jump
    state = params = WIDE
    parts: ClassVar = {"y": slice(0, WIDE)}

    def jet(self, t, y, theta, order):
        value = 1 + theta * np.abs(y) + self.jump * (y > 0) * (np.arange(WIDE) < self.jumping)
        if order == 0:
            return Jet(value)
        first = np.zeros((*y.shape, 1 + 2 * WIDE))
        each = np.arange(WIDE)
        first[:, each, 1 + each] = theta * np.sign(y)
        first[:, each, 1 + WIDE + each] = np.abs(y)
        return Jet(value, first)


@dataclass(frozen=True)
class Wavy(Bent):
    """The same with something smooth in place of the bends, that windows of the sample are too wide for."""

    def jet(self, t, y, theta, order):
        value = 1 + theta * np.sin(2000 * t + y)
        if order == 0:
            return Jet(value)
        first = np.zeros((*y.shape, 1 + 2 * WIDE))
        each = np.arange(WIDE)
        first[:, each, 0] = 2000 * theta * np.cos(2000 * t + y)
        first[:, each, 1 + each] = theta * np.cos(2000 * t + y)
        first[:, each, 1 + WIDE + each] = np.sin(2000 * t + y)
        return Jet(value, first)


def posed(field, *, ts=(0.0, 0.7, END), seed=0) -> Problem:
    draw = np.random.default_rng(seed)
    y0, k = draw.uniform(-2.5, -0.1, (ROWS, WIDE)), draw.uniform(0.5, 1.0, WIDE)
    weights = draw.standard_normal((len(ts), ROWS, WIDE))
    return Problem("bent", field, y0, k, np.array(ts), losses.Linear(weights))


def closed_form(y0: Array, k: Array, t: float) -> tuple[Array, Array, Array]:
    """y(t), dy/dy0 and dy/dk."""
    grown, across = np.exp(k * t), 1 - k * y0
    before = (y0 - 1 / k) / grown + 1 / k
    after = (grown / across - 1) / k
    of_start = np.where(before < 0, 1 / grown, grown / across**2)
    before_k = (1 / k**2) / grown - t * (y0 - 1 / k) / grown - 1 / k**2
    after_k = (t * grown / across + grown * y0 / across**2) / k - after / k
    return np.where(before < 0, before, after), of_start, np.where(before < 0, before_k, after_k)


@pytest.mark.parametrize("seed", range(4))
def test_the_truth_lies_within_its_bars(seed):
    problem = posed(Bent(), seed=seed)
    assert is_bent(problem) and bends_at_all(problem)
    found, slopes = solution(problem), gradient(problem)
    weights = problem.loss.gradient(found.value)
    exact = [closed_form(problem.y0, problem.theta, t) for t in problem.ts]
    y = np.stack([one[0] for one in exact])
    y0 = sum(w * one[1] for w, one in zip(weights, exact, strict=True))
    theta = sum((w * one[2]).sum(axis=0) for w, one in zip(weights, exact, strict=True))
    rates = 1 + problem.theta * np.abs(y)
    ts = np.einsum("tbi,tbi->t", weights, rates)
    ts[0] = -np.sum((y0 - weights[0]) * rates[0])
    for seen, right, bar in (
        (found, y, 4 * AIM_OF_STATES),
        (slopes.y0, y0, AIM),
        (slopes.theta, theta, AIM),
        (slopes.ts, ts, 2 * AIM),
        (adjoint_states(problem), None, AIM),
    ):
        if right is not None:
            assert (np.abs(seen.value - right) <= seen.radius).all()
        assert np.max(seen.radius) <= bar * np.max(np.abs(seen.value))
        assert seen.looked_at is not None
        assert 0 < seen.looked_at < END / 100


def test_what_bends_rarely_or_not_at_all_is_followed_as_ever():
    few = posed(Bent())
    few = few.with_(y0=np.where((np.arange(WIDE) < 1) & (np.arange(ROWS)[:, None] < 6), few.y0, 0.5))  # six bends
    assert not is_bent(few) and bends_at_all(few)
    assert not is_bent(posed(Wavy())) and not bends_at_all(posed(Wavy()))
    alone = few.with_(y0=few.y0[:1], loss=losses.Linear(np.ones((3, 1, WIDE))))
    assert not is_bent(alone)


@dataclass(frozen=True)
class Driven(Bent):
    """With something smooth beside the bends, whose curve in a window is many times as large as what a bend adds there.

    knots: so many times at which that is joined with another piece, its slope going on: a spline.
    """

    bends: float = 1.0
    knots: int = 0

    def jet(self, t, y, theta, order):
        own = super().jet(t, y, theta, order)
        at = np.linspace(0.0, END, self.knots + 2)[1:-1]
        drive = 1.2 * np.sin(60 * t) + np.sum(np.maximum(t - at, 0.0) ** 2)
        slope = 72 * np.cos(60 * t) + 2 * np.sum(np.maximum(t - at, 0.0))
        if order == 0:
            return Jet(self.bends * own.value + drive)
        first = self.bends * own.first
        first[:, :, 0] += slope
        return Jet(self.bends * own.value + drive, first)


def test_bends_stand_out_among_rates_that_curve_and_knots_of_a_spline_are_none():
    back_and_forth = posed(Driven(), ts=(0.0, 1.0, END))
    assert is_bent(back_and_forth) and bends_at_all(back_and_forth)
    for smooth in (Driven(bends=0.0), Driven(bends=0.0, knots=20)):
        assert not is_bent(posed(smooth)) and not bends_at_all(posed(smooth))


@pytest.mark.parametrize(("jump", "jumping"), [(0.3, WIDE), (1e-3, WIDE), (0.3, 1), (0.02, 1)])
def test_a_field_that_jumps_with_its_state_is_refused(jump, jumping):
    with pytest.raises(FlowError, match="its state crosses a place"):
        gradient(posed(Bent(jump, jumping)))


def test_a_jump_that_hides_among_the_bends_is_less_than_the_bar():
    """y is (1 + jump) times as large beyond its bend, and so are its derivatives."""
    problem = posed(Bent(1e-3, 1))
    found, slopes = solution(problem), gradient(problem)
    weights, larger = problem.loss.gradient(found.value), 1 + 1e-3 * (np.arange(WIDE) < 1)
    exact = [closed_form(problem.y0, problem.theta, t) for t in problem.ts]
    beyond = [np.where(one[0] > 0, larger, 1.0) for one in exact]
    y = np.stack([one[0] * by for one, by in zip(exact, beyond, strict=True)])
    y0, theta = (
        np.stack([w * one[i] * by for w, one, by in zip(weights, exact, beyond, strict=True)]).sum(axis=0)
        for i in (1, 2)
    )
    for seen, right in ((found, y), (slopes.y0, y0), (slopes.theta, theta.sum(axis=0))):
        assert (np.abs(seen.value - right) <= seen.radius).all()


def test_backwards_in_time():
    problem = posed(Bent())
    there = closed_form(problem.y0, problem.theta, END)[0]
    back = problem.with_(y0=there, ts=problem.ts[::-1])
    assert is_bent(back)
    found = solution(back)
    assert (np.abs(found.value[-1] - problem.y0) <= found.radius[-1]).all()
