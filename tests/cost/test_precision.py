"""Work and precision: costs at equal achieved error, and what is not known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from odecheck import Adaptive, Subject
from odecheck.cost import at_equal_error, ladder, work_precision
from odecheck.engines.torchdiffeq import Backprop
from odecheck.subject import SHIPPED
from tests.cost.computations import PROBLEM, Elsewhere
from tests.cost.laws import laws


def test_equal_error_is_not_equal_tolerance():
    equal = at_equal_error(laws(), 3e-6).set_index("library")
    assert equal.nfe_forward["a"] == pytest.approx(100 * 3e-6**-0.2, rel=1e-12)
    assert equal.nfe_forward["b"] == pytest.approx(300 * 3e-7**-0.2, rel=1e-12)
    assert equal.rejected_forward["a"] == 0 and math.isnan(equal.cpu_seconds["a"])
    outside = at_equal_error(laws(), 1e-7 / 2).set_index("library")
    assert outside.nfe_forward.isna().all()  # nothing is extrapolated


def test_work_precision_errors_fall_and_failures_are_rows():
    subjects = [Subject(SHIPPED, Adaptive("dopri5", rtol=1e-4), engine) for engine in (Backprop(), Elsewhere())]
    frame = pd.DataFrame(work_precision(subjects, PROBLEM, ("gradient",), rungs=3, repeat=1))
    good = frame[frame.engine == "torchdiffeq backprop"]
    assert (np.diff(good.achieved_error) < 0).all() and (np.diff(good.nfe_forward) > 0).all()
    assert (good.cpu_seconds > 0).all() and set(frame[frame.engine == "elsewhere"].state) == {"unsupported"}
    assert [s.rtol for s in ladder(Adaptive("dopri5", rtol=1e-4), 2)] == pytest.approx([1e-4, 1e-5])
