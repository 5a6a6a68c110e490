"""How large a state is: its start, or what the field makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import Problem
from odecheck_reference.fields import Linear
from odecheck_reference.losses import SquaredError

from odecheck.instruments.state_size import size_of_state


@pytest.mark.parametrize(
    ("start", "theta", "size"),
    [
        (1e-12, (-1.0, 0.0), 2e-12),  # two units of time at the rate of the start
        (3.0, (-0.1, 0.0), 3.0),
        (0.0, (-1.0, 5.0), 10.0),  # a start at zero that is driven away
        (0.0, (-1.0, 0.0), 0.0),
    ],
)
def test_the_larger_of_the_start_and_of_what_it_becomes(start, theta, size):
    shape = (2, 1, 1)
    loss = SquaredError(np.ones(shape), np.zeros(shape))
    problem = Problem("sized", Linear(1), np.full((1, 1), start), np.array(theta), np.array([0.0, 2.0]), loss)
    assert size_of_state(problem) == pytest.approx(size)
