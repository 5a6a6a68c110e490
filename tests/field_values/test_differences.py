"""Slopes from values: right within their own uncertainty, or said to be uncertain."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.field_values.differences import RATIOS, WEIGHTS, slopes

EPS = float(np.finfo(float).eps)


def found(g, noise=4 * EPS, **how):
    return slopes(
        lambda h: np.atleast_1d(np.asarray(g(h), dtype=float)), np.atleast_1d(noise * abs(g(0.0)) + 0.0), **how
    )


def test_the_weights_take_a_polynomial_in_the_squares_to_zero():
    powers = np.array([(WEIGHTS[:, 0] * RATIOS ** (2 * k)).sum() for k in range(len(WEIGHTS))])
    np.testing.assert_allclose(powers, np.eye(len(WEIGHTS))[0], atol=1e-12)


@pytest.mark.parametrize(
    ("g", "first", "second"),
    [
        (lambda h: np.exp(h), 1.0, 1.0),
        (lambda h: np.sin(1 + 3 * h), 3 * np.cos(1), -9 * np.sin(1)),
        (lambda h: 1 / (1.5 - h), 1 / 1.5**2, 2 / 1.5**3),
        (lambda h: 1 + 0 * h, 0.0, 0.0),
        (lambda h: np.sin(300 * h) + 1, 300.0, 0.0),
        (lambda h: 1e150 * np.exp(h), 1e150, 1e150),
        (lambda h: 1e-150 * np.exp(h), 1e-150, 1e-150),
    ],
)
def test_a_smooth_function_is_within_its_bars(g, first, second):
    s = found(g)
    assert abs(s.first[0] - first) <= s.first_bar[0]
    assert s.first_bar[0] <= 1e-10 * s.size[0]
    assert abs(s.second[0] - second) <= s.second_bar[0]
    assert s.second_bar[0] <= 1e-5 * (s.size[0] + abs(second))


@pytest.mark.parametrize("seed", range(200))
def test_a_fast_wave_is_within_its_bar_or_uncertain(seed):
    rng = np.random.default_rng(seed)
    k, phase = 10 ** rng.uniform(0, 7), rng.uniform(0, 6)
    s = found(lambda h: np.sin(phase + k * h) + 2, noise=4 * EPS)
    assert abs(s.first[0] - k * np.cos(phase)) <= 10 * s.first_bar[0]


@pytest.mark.parametrize("cycles", [3 * 2**7, 2**12, 3 * 2**20])
def test_a_wave_of_which_every_half_step_is_a_whole_period(cycles):
    k = 2 * np.pi * cycles * 2.0**4 * (1 + 1e-4 / cycles)
    s = found(lambda h: np.sin(1 + k * h) + 2)
    assert abs(s.first[0] - k * np.cos(1)) <= 10 * s.first_bar[0]


@pytest.mark.parametrize("at", [0.0, 1e-12])
def test_a_kink_is_uncertain(at):
    assert found(lambda h: abs(h - at) + 1).first_bar[0] > 1e-3
    assert found(lambda h: 1.0 + (h > at)).first_bar[0] > 1e-3


@pytest.mark.parametrize("at", [1e-3, -0.04, 3e-6])
def test_a_kink_beside_the_place_is_told_by_shorter_steps(at):
    s = found(lambda h: abs(h - at) + 1)
    assert s.first[0] == pytest.approx(-np.sign(at), abs=1e-6)
    assert s.first_bar[0] < 1e-6


@pytest.mark.parametrize("width", [1e-3, 1e-5])
def test_a_feature_that_long_steps_pass_by_is_not_passed_by(width):
    s = found(lambda h: 1 + h + np.exp(-((h / width + 0.5) ** 2)), whole=True)
    assert s.first[0] == pytest.approx(1 - np.exp(-0.25) / width, rel=1e-5)


def test_where_values_end_shorter_steps_are_taken():
    s = found(lambda h: np.sqrt(1e-3 + h) if h > -1e-3 else np.nan)
    assert s.first[0] == pytest.approx(0.5 / np.sqrt(1e-3), rel=1e-6)
    assert not np.isfinite(found(lambda h: np.nan if h else 1.0).first_bar[0])
