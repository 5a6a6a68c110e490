"""A kink is found where the slope of a rate jumps, and the rounding of a smooth rate is none."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import catalogue, follow, hard_in_state, kinks
from odecheck_reference.flow import solution, trajectories
from odecheck_reference.sensitivity import gradient
from odecheck_reference.separable import Kink

PLACES = np.linspace(0.0, 1.0, 9)


def cancelling(x: float, small: float = 0.0) -> np.ndarray:
    """sin 3x; and nine numbers of its millionth part's size, beside terms that cancel but for their rounding."""
    one, other = np.cos(2 * (x + PLACES)), 1 - 2 * np.sin(x + PLACES) ** 2
    tiny = one - other + 1e-6 * np.sin(3 * x) + small
    return np.concatenate([[np.sin(3 * x)], tiny])


def found(rate):
    return kinks.kink_in(0.1, 0.4, rate)


def test_the_rounding_of_a_small_difference_is_no_kink(monkeypatch):
    assert found(cancelling) is None
    monkeypatch.setattr(kinks, "NO_ROUNDING", 0)
    assert found(cancelling) is not None


@pytest.mark.parametrize("slope", [3.0, 1.0])
def test_a_kink_beside_rounding_is_found(slope):
    at = found(lambda x: cancelling(x) + np.array([slope * abs(x - 0.3), *np.zeros(9)]))
    assert at is not None
    assert abs(at - 0.3) < 1e-8


def test_a_kink_far_above_the_rounding_of_its_own_rate_is_found():
    at = found(lambda x: cancelling(x, 1e-6 * abs(x - 0.3)))
    assert at is not None
    assert abs(at - 0.3) < 1e-6


def test_derivatives_of_a_smooth_field_end_at_few_cuts():
    """Slopes that begin at zero are small differences of large terms; each of their cuts costs five runs steps."""
    heavy_ball = catalogue.quick()[2]
    mesh = trajectories(heavy_ball, 1)[0].mesh
    assert mesh is not None
    assert mesh.count <= 4


@pytest.mark.parametrize(
    ("place", "slope"),
    [(0.14314456190532515, 0.00048259427490715355), (0.5026911724429316, 0.0011393820290040845)],
)
def test_what_all_runs_step_over_at_a_weak_kink_is_in_the_bar(place, slope, monkeypatch):
    """They end at the same places beside it, and none of them makes its step in between shorter."""
    h = hard_in_state.separable("relu", hard_in_state.ONE, Kink(place, slope), y0=0.0)
    assert h.outside(solution(h.problem), gradient(h.problem)) == []
    monkeypatch.setattr(follow, "BESIDE", 0)
    again = hard_in_state.separable("relu ", hard_in_state.ONE, Kink(place, slope), y0=0.0)
    assert h.outside(solution(again.problem), gradient(again.problem)) == ["gradient in theta"]
