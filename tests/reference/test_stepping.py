"""One run from cut to cut: the accuracy of a step does not depend on where integrations end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from odecheck_reference import stepping
from odecheck_reference.flow import SHARP
from odecheck_reference.mesh import Mesh
from odecheck_reference.sizes import Sizes
from odecheck_reference.stepping import Equation, run

LENGTH, CENTRE, WIDTH, FACTOR, START = 0.1, 0.0770575667, 0.0021581205, 1.39638974, 1e-6


def _grown(t: float, y: np.ndarray) -> np.ndarray:
    """y' = a sech²((t − c) / w) / w y (1 − y), sixteen times as large at the end as at the start."""
    return FACTOR / WIDTH / np.cosh((t - CENTRE) / WIDTH) ** 2 * y * (1 - y)


def _error(ends_at: float, tolerance: float) -> float:
    """Relative, of a run that ends at a time and goes on."""
    ts = np.array([0.0, LENGTH])
    equation = Equation(
        "grown", ts, _grown, lambda t, y: np.stack([_grown(*one) for one in zip(t, y, strict=True)]), 1, 1
    )
    sizes = Sizes(np.array([2.0**-15]), np.array([False]))
    found = run(equation, SHARP[0], tolerance, np.array([START]), None, Mesh(ts, [ends_at]), sizes).w[-1, 0]
    whole = FACTOR * (math.tanh((LENGTH - CENTRE) / WIDTH) - math.tanh(-CENTRE / WIDTH))
    return abs(found * (START + (1 - START) * math.exp(-whole)) / START - 1)


@pytest.mark.parametrize("share", [0.75, 0.8203125, 0.84])
def test_a_cut_where_a_field_is_smooth_costs_no_digits(share):
    assert _error(share * LENGTH, SHARP[1]) < 2 * SHARP[1]


def test_the_first_step_behind_a_cut_is_no_guess(monkeypatch):
    """By the solver's own guess it may be twice as long, and taken: its error estimate may be small by accident."""
    errors = [_error(share * LENGTH, SHARP[1]) for share in np.linspace(0.7, 0.9, 41)]
    monkeypatch.setattr(stepping, "LONGER", np.inf)
    guessed = [_error(share * LENGTH, SHARP[1]) for share in np.linspace(0.7, 0.9, 41)]
    assert max(errors) < max(guessed) / 2
    assert max(guessed) > 2 * SHARP[1]


def test_a_jump_just_before_a_cut_ends_there():
    """What is left of the interval behind it is empty."""
    ts = np.array([0.0, 1.0])
    at = 0.5 - 30 * float(np.spacing(0.49))

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return np.where(t > at, 1e14, 1.0) * np.ones_like(y)

    mesh = Mesh(ts)
    mesh.zoom(0, np.array([0.45]), np.array([0.475]))
    mesh.cut(0, [0.5])
    equation = Equation("jump", ts, rate, lambda t, y: np.stack([rate(*one) for one in zip(t, y, strict=True)]), 1, 1)
    found = run(equation, "DOP853", 1e-12, np.array([0.0]), None, mesh, Sizes(np.array([1.0]), np.array([True])))
    assert found.w[-1, 0] == pytest.approx(0.5e14, rel=1e-9)
