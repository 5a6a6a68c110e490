"""Momentum on two valleys: what energy and a second solver say of the ways, and what a wrong field does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from odecheck_reference.fields import Fixed, HeavyBall
from scipy.integrate import solve_ivp

from odecheck.studies import momentum

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.mark.parametrize("valley", momentum.VALLEYS, ids=lambda one: one.name)
def test_slopes_are_those_of_the_values(valley) -> None:
    """Central differences, whose error is of the order of 1e-8 of values of up to some hundred."""
    h = 1e-5
    for x, y in np.random.default_rng(0).uniform(-1.5, 1.5, size=(5, 2)):
        by_x = (valley.value(x + h, y) - valley.value(x - h, y)) / (2 * h)
        by_y = (valley.value(x, y + h) - valley.value(x, y - h)) / (2 * h)
        assert valley.slope(x, y) == pytest.approx((by_x, by_y), rel=1e-6, abs=1e-6)
    assert valley.value(*valley.minimum) == 0.0 and valley.slope(*valley.minimum) == (0.0, 0.0)


def test_a_heavy_ball_is_the_equation_of_second_order() -> None:
    """h'' = −γ h' − ∇V, written out here and solved by another method."""
    beale = momentum.VALLEYS[1]
    way = momentum.trajectory(beale, "heavy ball", end=4.0)

    def rate(t, y):
        return [y[2], y[3], *(-momentum.GAMMA * y[2:] - np.array(beale.slope(y[0], y[1])))]

    other = solve_ivp(rate, (0.0, 4.0), [*beale.start, 0.0, 0.0], method="DOP853", rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(way.states[-1], other.y[:, -1], atol=1e-4)


@pytest.mark.parametrize("model", momentum.MODELS)
def test_no_energy_rises_beyond_the_tolerance(model) -> None:
    way = momentum.trajectory(momentum.VALLEYS[1], model, end=4.0)
    assert way.rise < 100 * momentum.RTOL


def test_a_damping_of_the_wrong_sign_gains_energy() -> None:
    _, energy = momentum.MODELS["heavy ball"]
    wrong = {"heavy ball": (lambda f: HeavyBall(f, Fixed(-momentum.GAMMA)), energy)}
    way = momentum.trajectory(momentum.VALLEYS[1], "heavy ball", end=1.0, models=wrong)
    assert way.rise > 0.01


def test_a_ball_overshoots_and_a_flow_does_not() -> None:
    ways = {model: momentum.trajectory(momentum.VALLEYS[1], model, end=8.0) for model in momentum.MODELS}
    assert ways["gradient flow"].crossings == 0 < ways["heavy ball"].crossings
    text = momentum.to_markdown([*ways.values()])
    assert text.count("| Beale |") == 3


def test_the_report_and_its_picture_are_there(tmp_path: Path) -> None:
    assert "(momentum.png)" in (REPORTS / "momentum.md").read_text(encoding="utf-8")
    assert (REPORTS / "momentum.png").stat().st_size > 10_000
    pytest.importorskip("matplotlib")
    momentum.picture([momentum.trajectory(momentum.VALLEYS[1], "gradient flow", end=0.5)], tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
