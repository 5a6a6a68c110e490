"""What is asked of many outputs and many intervals: pieces of an interval from the sensitivities along the whole."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import Problem
from odecheck_reference.fields import Mlp
from odecheck_reference.losses import SquaredError

from odecheck.claims.libraries.outputs import _slopes, cut, pieces
from odecheck.errors import NotApplicable


def decaying(rates: tuple[float, float]) -> Problem:
    """y' = −rate y in each component, over two units of time."""
    shape = (2, 1, 2)
    loss = SquaredError(np.ones(shape), np.zeros(shape))
    theta = np.array([-rates[0], 0.0, 0.0, -rates[1], 0.0, 0.0])
    return Problem("decaying", Mlp(2, 2), np.array([[1.0, 0.5]]), theta, np.array([0.0, 2.0]), loss)


def test_a_flow_that_contracts_to_nothing_is_not_told_piece_by_piece():
    with pytest.raises(NotApplicable, match="contracts to nothing"):
        _slopes(decaying((1.0, 40.0)))


def test_one_that_contracts_by_much_is_and_the_bar_says_how_well():
    """dL/dy0 of a piece of length h is e^(−rate h) times dL/dy at its end."""
    problem, rates = decaying((1.0, 12.0)), np.array([1.0, 12.0])
    found, times = _slopes(problem), cut(problem).ts
    states = problem.y0 * np.exp(-rates * times[:, None])[:, None]
    exact = [
        part.loss.gradient(states[i : i + 2])[1] * np.exp(-rates * (times[i + 1] - times[i]))
        for i, part in enumerate(pieces(problem))
    ]
    width = 2 + problem.field.params
    off = np.abs(found.value.reshape(-1, width)[:, :2] - np.stack(exact)[:, 0])
    assert (off <= found.radius.reshape(-1, width)[:, :2]).all() and found.radius.max() < 1e-3
