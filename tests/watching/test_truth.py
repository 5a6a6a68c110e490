"""The truth of a solve against closed forms, in each family."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.watching import truth
from odecheck.watching.field64 import in_double

from .linear_call import exact, linear


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.2), (1.0, 0.3, -0.5), (0.2, 2.0)])
def test_families_agree_with_the_closed_form(times):
    call, cotangent = linear(times)
    y, dy0, dt, dA = exact(times, cotangent)
    with in_double(call) as f:
        found = truth.dop853(f, rtol=1e-12)
        answers = [(found, 1e-10), (truth.adams(f, found.along, rtol=1e-12), 1e-9), (truth.rk4(f, steps=400), 1e-8)]
    for answer, tolerance in answers:
        np.testing.assert_allclose(answer.solution, y, rtol=0, atol=tolerance)
        np.testing.assert_allclose(answer.y0, dy0, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(answer.t, dt, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(next(iter(answer.theta.values())), dA, rtol=0, atol=10 * tolerance)
