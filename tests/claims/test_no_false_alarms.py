"""Right solvers on problems of awkward sizes: no claim that is asked by default may refute them.

Decided or not does not matter here: states of 1e-12, of 1e8 beside 1e-8, one row, an interval of 1e-14, a start at a
late time, an end that has decayed to nothing.
"""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import Problem
from odecheck_reference.fields import Linear, Mlp
from odecheck_reference.losses import SquaredError

from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.runner.run import check
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = ["SOL-2", "SOL-6", "SOL-7", "SOL-8", "NODE-1", "NODE-2", "NODE-4", "NODE-5"]
SUBJECTS = [
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Closed()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete()),
    Subject(SHIPPED, Adaptive("dopri8", rtol=1e-9), Backprop()),
    Subject(SHIPPED, FixedStep("rk4", step=0.25), Adjoint()),
    Subject(SHIPPED, FixedStep("euler", step=0.25), Backprop()),
]


def _posed(name: str, field, theta, y0, ts, size: float = 1.0) -> Problem:
    start, times = np.array(y0), np.array(ts)
    shape = (len(times), *start.shape)
    loss = SquaredError(np.ones(shape), 0.25 * size * np.ones(shape))
    return Problem(name, field, start, np.array(theta), times, loss)


def _decay(name: str, rates, y0, ts, size: float = 1.0) -> Problem:
    return _posed(name, Linear(len(rates)), np.r_[np.diag(rates).ravel(), np.zeros(len(rates))], y0, ts, size)


def _network(name: str, y0, ts) -> Problem:
    field = Mlp(2, 2, (3,))
    return _posed(name, field, 0.5 * np.random.default_rng(1).standard_normal(field.params), y0, ts)


PROBLEMS = [
    _decay("mixed scales", [-1.0, -0.5], [[1e8, 1e-8], [1e-8, 1e8]], [0.0, 0.5, 1.0], 1e8),
    _decay("tiny", [-1.0, -0.5], [[1e-12, 2e-12]], [0.0, 0.5, 1.0], 1e-12),
    _decay("from zero", [-1.0, -0.5], [[0.0, 0.0]], [0.0, 0.5, 1.0]),
    _decay("huge", [-1.0, -0.5], [[1e100, 2e100]], [0.0, 0.5, 1.0], 1e100),
    _network("one row", [[0.3, 0.8]], [0.0, 0.5, 1.0]),
    _network("short", [[0.3, 0.8]], [0.0, 5e-15, 1e-14]),
    _network("late", [[0.3, 0.8]], [1e6, 1e6 + 0.5, 1e6 + 1.0]),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_awkward_sizes_are_no_false_alarms(problem: Problem) -> None:
    for subject in SUBJECTS:
        records = check(subject, problem, CLAIMS, validate=False)
        assert not [str(record) for record in records if record.verdict == "refuted"]


def test_what_has_decayed_to_nothing_is_no_false_alarm() -> None:
    """det dy(T)/dy0 is exp(-150) here; where it was exp(-1500), dopri8 made 5e-228 of it with a bar of 3e-228."""
    problem = _decay("long", [-1.0, -0.5], [[1.0, 2.0]], [0.0, 100.0])
    subject = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-7), Backprop())
    records = check(subject, problem, ["SOL-6", "SOL-7", "NODE-5"], validate=False)
    assert not [str(record) for record in records if record.verdict in ("refuted", "error")]
