"""Over 1,000 random problems the truth, known to 30 digits, is never outside the reference's error bars.

`odecheck selftest --part bars` looks at every quantity of more problems.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from odecheck_reference import Bounded, flow
from odecheck_reference.closed_form import closed_flow
from odecheck_reference.collocation import ExactError
from odecheck_reference.collocation import flow as collocated
from odecheck_reference.fields import Linear, Logistic, Mlp, VanDerPol

from odecheck.selftest.bars import drawn, measured, pairs

PROBLEMS = 150
# Each problem is asked for some of its quantities, in turn, so that one core is done within a minute or so
TURNS = (
    *((("solution", "loss"), ("solution", "loss"), ("transition", "gradient")) * 12),
    ("adjoint states", "loss"),
    ("adjoint states", "volume"),
    ("volume",),
    ("hessian", "gauss-newton", "gradient"),
)
DIGITS_30 = 1e-30


@pytest.fixture(scope="module")
def found():
    """(seed, quantity, what the reference says, the truth) of all problems that have a flow."""
    rows = []
    for seed in range(PROBLEMS):
        try:
            problem = drawn(seed, closed=0.97)
            rows += [(seed, *row) for row in pairs(problem, TURNS[seed % len(TURNS)])]
        except (flow.FlowError, ExactError):
            continue
    return rows


def outside(rows, change=lambda seen: seen):
    """The rows whose truth is not within the bar of the (changed) reference."""
    return [(seed, name) for seed, name, seen, truth in rows if measured(change(seen), truth)[0] > 1]


def test_the_truth_is_never_outside_the_bar(found):
    assert len({seed for seed, *_ in found}) >= 0.98 * PROBLEMS
    assert outside(found) == []


def test_the_bars_are_not_much_wider_than_the_errors(found):
    slack = [measured(seen, truth)[1] for _, _, seen, truth in found]
    assert np.nanmedian(slack) <= 100


def test_bars_a_thousand_times_too_small_are_refuted(found):
    few = [row for row in found if row[0] < 100]
    caught = outside(few, lambda seen: Bounded(seen.value, {k: b / 1000 for k, b in seen.budget.items()}))
    assert len(caught) > 0.5 * len(few)


def test_values_off_by_ten_bars_are_refuted(found):
    few = [row for row in found if row[0] < 100 and np.max(row[2].radius) > 0]
    assert len(outside(few, lambda seen: Bounded(seen.value + 10 * seen.radius, seen.budget))) == len(few)


CLOSED = {
    "linear": (Linear(2), [0.5, -1.0, 0.75, -0.25, 0.5, 1.0], [[1.0, -2.0]]),
    "linear in time": (Linear(1, time=True), [-0.75, 0.5, 1.5], [[1.0], [0.25]]),
    "affine network": (Mlp(2, 2, time=True), [0.5, -1.0, 0.25, 0.75, -0.5, 1.0, 0.5, -1.0], [[0.5, -0.5]]),
    "logistic": (Logistic(), [1.5, 2.0], [[0.25], [1.5]]),
}
TIMES = np.array([0.25, 0.5, -1.0][::-1])


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("ts", [TIMES, TIMES[::-1]], ids=["forwards", "backwards"])
def test_collocation_has_thirty_digits(name, ts):
    field, theta, y0 = CLOSED[name]
    arguments = field, np.array(theta), np.array(y0), ts
    exact, seen = closed_flow(*arguments, order=2), collocated(*arguments, order=2)
    for a, b in ((exact.y, seen.y), (exact.first, seen.first), (exact.second, seen.second)):
        assert np.max(np.abs(a - b)) <= DIGITS_30 * np.max(np.abs(a))


def test_the_linear_closed_form_is_the_matrix_exponential():
    field, theta, y0 = CLOSED["linear"]
    matrix = mpmath.matrix(3, 3)
    for i, j in np.ndindex(2, 2):
        matrix[i, j] = theta[2 * i + j]
    matrix[0, 2], matrix[1, 2] = theta[4:]
    with mpmath.workdps(50):
        end = mpmath.expm(matrix * mpmath.mpf(1.5)) * mpmath.matrix([*y0[0], 1])
        # Van Loan: the derivative of exp(M) in the direction E is the upper right block of exp [[M, E], [0, M]]
        double = mpmath.matrix(6, 6)
        for i, j in np.ndindex(3, 3):
            double[i, j] = double[3 + i, 3 + j] = matrix[i, j]
        double[0, 4] = 1  # E moves A_01
        slope = (mpmath.expm(double * mpmath.mpf(1.5)) * mpmath.matrix([0, 0, 0, *y0[0], 1]))[:2]
        flowed = closed_flow(field, np.array(theta), np.array(y0), np.array([0.0, 1.5]), order=1)
        for i in range(2):
            assert abs(flowed.y[-1, 0, i] - end[i]) <= DIGITS_30 * abs(end[i])
            assert abs(flowed.first[-1, 0, i, 1 + 2 + 1] - slope[i]) <= DIGITS_30 * abs(slope[i])


def test_no_flow_to_the_last_time_is_said_so():
    with pytest.raises(ExactError, match="the solution ends there"):
        collocated(VanDerPol(), np.array([1.0]), np.array([[3.0, 3.0]]), np.array([0.0, -5.0]), order=0)
    with pytest.raises(ArithmeticError, match="ends before"):
        closed_flow(Logistic(), np.array([1.0, 1.0]), np.array([[2.0]]), np.array([0.0, -5.0]), order=0)
    with pytest.raises(TypeError, match="no closed form"):
        closed_flow(VanDerPol(), np.array([1.0]), np.array([[1.0, 1.0]]), np.array([0.0, 1.0]), order=0)
