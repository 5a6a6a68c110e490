"""Generated series: the same in every call, and of the equations that they say."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.tasks import generated


@pytest.mark.parametrize(("make", "columns"), [(generated.resonances, 5), (generated.duffing, 2)])
def test_series_are_the_same_in_every_call(make, columns) -> None:
    one = make(500)
    assert one.shape == (500, columns) and np.isfinite(one).all()
    np.testing.assert_array_equal(one, make(500))
    assert (one.std(axis=0) > 0.01).all()


def test_a_mode_resonates_at_its_own_frequency() -> None:
    """The largest answer to a sine of frequency w is about 1/(2 d) times its own; far above w it is about 1."""
    t, w, damping = np.arange(4000.0), 0.15, 0.03
    at, above = (generated._mode(np.sin(f * t), w, damping)[2000:] for f in (w, 8 * w))
    assert np.abs(at).max() == pytest.approx(1 / (2 * damping), rel=0.1)
    assert np.abs(above).max() == pytest.approx(1, rel=0.3)


def test_duffings_oscillator_is_driven_and_damped() -> None:
    """Second differences of V2 against its equation: half steps of symplectic Euler leave errors of first order."""
    force, x = generated.duffing(4000).T
    v = (x[2:] - x[:-2]) / 2
    a = x[2:] - 2 * x[1:-1] + x[:-2]
    expected = force[1:-1] / 4 - 0.1 * v - 0.25 * x[1:-1] - x[1:-1] ** 3
    assert np.corrcoef(a, expected)[0, 1] > 0.95
