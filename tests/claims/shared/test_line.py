import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from odecheck.claims.shared.line import slope


@pytest.mark.parametrize("seed", range(5))
def test_the_slope_and_its_interval_are_those_of_linear_regression(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(3 + 3 * seed)
    y = 0.7 * x + rng.standard_normal(len(x))
    fit = stats.linregress(x, y)
    found, half_width = slope(x, y)
    assert found == pytest.approx(fit.slope, rel=1e-10)
    assert half_width == pytest.approx(stats.t.ppf(0.995, df=len(x) - 2) * fit.stderr, rel=1e-8)


def test_what_is_flat_has_no_slope_and_what_is_no_number_none_that_is_known():
    assert np.abs(slope(np.arange(5.0), np.ones(5))).max() < 1e-13
    assert np.isnan(slope(np.arange(3.0), np.array([0.0, -np.inf, 1.0]))).all()


def test_claims_do_without_what_takes_as_long_to_import_as_they_do():
    code = "import odecheck.claims, sys; print('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
