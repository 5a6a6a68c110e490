"""The order that errors show, of errors whose law is known; the claims are bitten in tests/claims/test_bite.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from odecheck_reference import Bounded, Problem, catalogue, solution
from odecheck_reference.fields import Linear
from odecheck_reference.losses import Linear as LinearLoss

from odecheck.claims.papers.convergence import (
    at_time,
    cells_of,
    error_follows_tolerance,
    observed_order,
    seen_evenly,
    slope_of,
)
from odecheck.engines.own import Discrete
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

STEPS = np.array([0.1, 0.05, 0.025, 0.0125])
TRUTH = Bounded(np.ones((1, 2)), {"spread": 1e-14})
LINEAR = catalogue.quick()[0]


def observed(errors: np.ndarray, stated: int) -> tuple[float, float]:
    slope, _ = slope_of(STEPS, errors, TRUTH, stated)
    return float(slope.value), float(slope.radius)


@pytest.mark.parametrize(("power", "stated", "seen"), [(2, 2, 2), (3, 2, 2), (1, 2, 1), (-1, 2, 0), (4, 4, 4)])
def test_a_power_of_the_step_is_seen_and_no_more_than_what_is_stated(power, stated, seen):
    value, bar = observed(0.5 * STEPS**power, stated)
    assert value == pytest.approx(seen, abs=1e-9) and bar < 1e-9


def test_a_slope_that_still_moves_has_a_bar_that_covers_its_limit():
    value, bar = observed(STEPS**2 * (1 + 8 * STEPS), 3)
    assert abs(value - 2) <= bar < 1 and bar > 0.05


def test_errors_at_the_level_of_the_reference_say_nothing():
    assert observed(np.full(4, 1e-13), 4)[1] == np.inf


def test_too_many_steps_are_not_asked_for():
    cells = cells_of(LINEAR)
    assert 8 <= cells <= 400 and cells % 3
    fast = LINEAR.theta.copy()
    fast[:4] = [-100.0, 100.0, -100.0, -100.0]
    with pytest.raises(NotApplicable, match="1/400"):
        cells_of(LINEAR.with_(theta=fast))


def test_the_order_of_midpoint_is_two_at_step_ends():
    subject = Subject(SHIPPED, FixedStep("midpoint"), Backprop())
    slope, stated = observed_order(subject, LINEAR, 1.0, 2)
    assert abs(float(slope.value) - 2) < 0.1 and float(stated.value) == 2
    with pytest.raises(NotApplicable, match="SOL-5"):
        observed_order(replace(subject, solver=Adaptive("dopri5")), LINEAR, 1.0, 5)


def test_a_problem_seen_evenly_is_one_object_and_one_of_its_times_is_its_own_bound():
    even = seen_evenly(LINEAR, 4)
    assert even is seen_evenly(LINEAR, 4) and even.running is None
    assert np.ptp(np.diff(even.ts)) < 1e-15 and len(even.ts) == 5
    truth = solution(even)
    assert np.array_equal(at_time(truth, -1).value, truth.value[-1])


def test_a_truth_that_is_zero_exactly_divides_nothing():
    """y' = a y from 0: the reference's bar is zero, and so is every error."""
    still = Problem(
        "still", Linear(1), np.zeros((1, 1)), np.zeros(2), np.array([0.0, 1.0]), LinearLoss(np.ones((2, 1, 1)))
    )
    record = evaluate(error_follows_tolerance, Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop()), still)
    assert record.verdict is Verdict.INCONCLUSIVE and "a longer interval" in record.decides


def test_errors_that_scatter_are_asked_at_more_tolerances():
    """dopri5 on the tanh network: nine points leave 0.65 of an order open, seventeen say it."""
    subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete())
    record = evaluate(error_follows_tolerance, subject, catalogue.quick()[1])
    assert record.problem == "tanh network" and record.verdict == "holds" and record.resolved < 0.6
