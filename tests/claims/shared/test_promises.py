"""What a flow does to errors on the way: of what contracts to nothing, of what grows in a window between the times."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from odecheck_reference import Problem, transition
from odecheck_reference.fields import Jet, Mlp
from odecheck_reference.losses import Linear

from odecheck.claims.shared.promises import amplification


def posed(field, theta, y0, *ts: float) -> Problem:
    y0, ends = np.array(y0), np.array(ts)
    return Problem("posed", field, y0, np.array(theta, dtype=np.float64), ends, Linear(np.ones((len(ends), *y0.shape))))


@dataclass(frozen=True)
class Window:
    """y' = y A exp(−((t − 0.37)/w)²): everything happens in a window, which multiplies y by exp(A w √π)."""

    height: float
    width: float
    state: int = 1
    params: int = 0
    parts: dict[str, slice] = field(default_factory=lambda: {"h": slice(0, 1)}, compare=False)

    def jet(self, t, y, theta, order):
        x = (np.asarray(t) - 0.37) / self.width
        rate = self.height * np.exp(-x * x)
        value = rate * y
        if order == 0:
            return Jet(value)
        first = np.zeros((*y.shape, 2))
        first[..., 0], first[..., 1] = -2 * x / self.width * value, rate
        return Jet(value, first, np.zeros((*y.shape, 2, 2)) if order > 1 else None)


@pytest.mark.parametrize(
    ("rate", "length", "largest"),
    [(-50.0, 50.0, 1.0), (-1e3, 2.0, 1.0), (0.3, 10.0, np.exp(3.0)), (-0.3, -10.0, np.exp(3.0))],
)
def test_a_rate_alone(rate, length, largest):
    problem = posed(Mlp(1, 1), [rate, 0.0], [[1.0], [0.2]], 1.0, 1.0 + length)
    assert amplification(problem) == pytest.approx(largest, rel=1e-4)


def test_what_grows_in_a_window_that_steps_would_skip():
    found = amplification(posed(Window(4e4, 1e-4), [], [[1.0]], 0.0, 1.0))
    assert found == pytest.approx(np.exp(4.0 * np.sqrt(np.pi)), rel=1e-4)


def test_too_many_numbers_are_no_promise():
    net = Mlp(300, 300, (600,))
    assert amplification(posed(net, np.zeros(net.params), np.zeros((1, 300)), 0.0, 1.0)) == np.inf


def test_it_is_the_largest_of_the_transition_matrices_of_the_reference():
    net = Mlp(2, 2, (3,), time=True)
    theta = np.random.default_rng(1).standard_normal(net.params)
    problem = posed(net, theta, [[0.3, -0.8]], 0.0, 0.4, 3.0)
    times = np.linspace(0.0, 3.0, 21)
    of_start = transition(problem.with_(ts=times, loss=Linear(np.zeros((21, 1, 2))))).value[:, 0]
    norms = [np.linalg.norm(of_start[i] @ np.linalg.inv(of_start[j]), 2) for j in range(21) for i in range(j, 21)]
    assert amplification(problem) == pytest.approx(max(norms), rel=1e-5)
