"""The truth about an event, against a closed form."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.claims.libraries.events import event_of
from odecheck.problem_sets.conformance import falling


def test_events_of_a_fall_are_those_of_its_closed_form() -> None:
    """T = (v + √(v² + 2 g x)) / g after the start, v(T)² = v² + 2 g x: Hessian of ½ v² is [[0, 0], [0, 1]]."""
    problem = falling()
    (x, v), g = problem.y0[0], -problem.theta[5]
    speed = np.sqrt(v * v + 2 * g * x)
    exact = event_of(problem)
    time, slope, bend = exact.time
    assert time == pytest.approx(problem.ts[0] + (v + speed) / g, rel=1e-14)
    assert exact.state[0] == pytest.approx([0.0, -speed], abs=1e-14)
    assert slope[:3] == pytest.approx([1.0, 1 / speed, (1 + v / speed) / g], rel=1e-13)
    assert bend[1, 1] == pytest.approx(-g / speed**3, rel=1e-12)
    y, y_z, y_zz = exact.state
    energy = y_z.T @ y_z + np.einsum("i,ipq->pq", y, y_zz)
    assert energy[1:3, 1:3] == pytest.approx(np.array([[0.0, 0.0], [0.0, 1.0]]), abs=1e-12)
