"""The observed value's own error bar: it covers what converges, and knows nothing of what does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.fields import Linear, Lorenz
from odecheck_reference.losses import SquaredError

from odecheck import refinement
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.refinement import ladder
from odecheck.runner.run import check
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject


@dataclass(frozen=True)
class Rung:
    """Stands for a subject: its error at refinement k is errors[k]."""

    errors: tuple[float, ...]
    k: int = 0
    solver = FixedStep("rk4", step=0.1)  # nothing is solved

    def refined(self) -> Rung:
        return Rung(self.errors, self.k + 1)

    def value(self) -> np.ndarray:
        return np.array([1.0, 1.0 + self.errors[self.k]])


def bar(*errors: float) -> tuple[float, float]:
    got = ladder(Rung(errors), lambda rung: rung.value())  # type: ignore[arg-type,attr-defined]
    return float(got.radius[1]), abs(float(got.value[1]) - 1.0)


@given(first=st.floats(1e-9, 1e-2), shrink=st.floats(0.05, 0.6), signs=st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_the_bar_covers_rungs_that_converge(first: float, shrink: float, signs: tuple[int, ...]) -> None:
    radius, error = bar(*(s * first * shrink**k for k, s in enumerate((*signs, 1, 1))))
    assert radius >= error


def test_rungs_that_do_not_contract_know_nothing() -> None:
    assert bar(1e-3, 2e-3, 1e-3, 2e-3, 1e-3)[0] == math.inf
    # a solver that ignores what it is asked for gives the same wrong number on all rungs up to noise above round-off
    assert bar(1e-3, 1e-3 + 1e-9, 1e-3 - 1e-9, 1e-3 + 2e-9, 1e-3 - 2e-9)[0] == math.inf


def test_rungs_that_drift_apart_are_no_limit_however_near_they_are() -> None:
    """The rungs of explicit Euler on y' = -50 y at t = 1/2 from a step of 1/50 on: the limit is 1.4e-11 away."""
    limit = float(np.exp(-25.0))
    radius, error = bar(*((1 - 50 * h) ** (0.5 / h) - limit for h in (0.02, 0.01, 0.005, 0.0025, 0.00125)))
    assert error > 1e-12
    assert radius == math.inf
    # round-off wanders: its distances grow a little, and are no drift
    assert bar(0.0, 1e-15, 5e-15, 2e-15, 1e-14)[0] < 1e-12
    assert bar(0.0, 3e-14, 8e-14, 2e-14, 7e-14)[0] < 1e-12


@pytest.mark.parametrize("engine", [Backprop(), Adjoint()])
def test_a_method_that_damps_too_much_is_no_false_alarm(engine) -> None:
    ts, shape = np.array([0.0, 0.5, 1.0]), (3, 1, 1)
    loss = SquaredError(np.ones(shape), 0.25 * np.ones(shape))
    problem = Problem("decay", Linear(1), np.ones((1, 1)), np.array([-50.0, 0.0]), ts, loss)
    records = check(
        Subject(SHIPPED, FixedStep("euler", step=0.02), engine), problem, ["SOL-2", "NODE-1", "NODE-2"], validate=False
    )
    assert records[0].verdict == "inconclusive"
    assert all(record.verdict != "refuted" for record in records)


def test_a_start_below_the_absolute_tolerance_is_not_decided_by_rungs_that_take_the_same_steps() -> None:
    """All of these took one step, agreed bit for bit and were off by 2e-5: they were refuted at states of 1e-12."""
    y0, shape = np.array([[1e-12, 2e-12], [3e-12, 1e-12]]), (3, 2, 2)
    loss = SquaredError(np.ones(shape), 0.25e-12 * np.ones(shape))
    problem = Problem("tiny", Linear(2), y0, np.array([-1.0, 0, 0, -0.5, 0, 0]), np.array([0.0, 0.5, 1.0]), loss)
    for engine in (Closed(), Discrete()):
        subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), engine)
        records = check(subject, problem, ["SOL-2", "NODE-2", "NODE-4"], validate=False)
        assert all(record.verdict != "refuted" for record in records), records
        able = replace(subject, solver=Adaptive("dopri5", rtol=1e-7, atol=1e-20))
        assert check(able, problem, "SOL-2", validate=False)[0].verdict == "holds"


def test_a_finer_rung_that_raises_is_not_the_users_and_the_first_one_is() -> None:
    """The backward solve of states of 1e8 beside 1e-8 underflows at tolerances that nobody asked for."""
    got = ladder(Rung((1e-3, 1e-4)), lambda rung: rung.value())  # type: ignore[arg-type,attr-defined]
    assert got.radius[0] == math.inf and "raised IndexError" in next(iter(got.budget))
    with pytest.raises(IndexError):
        ladder(Rung(()), lambda rung: rung.value())  # type: ignore[arg-type,attr-defined]


def test_one_accident_is_answered_by_the_next_rungs() -> None:
    radius, error = bar(1e-5, 1e-3, 1e-4, 1e-5, 1e-6)
    assert error <= radius < 1e-2


def test_rungs_of_some_few_steps_that_agree_by_luck_do_not_narrow_the_bar() -> None:
    """Met among drawn problems: rungs at 1e-8, 1e-9, 1e-10 agree to 1e-14, the error is 3e-12, the work grows."""
    y0 = np.array([[1.75, 1.875, 1.875], [1.875, 1.5, 1.25], [0.875, 0.375, 0.75]])
    times = np.array([0.5, 0.53125, 0.59375, 0.71875])
    loss = SquaredError(np.ones((4, 3, 3)), np.zeros((4, 3, 3)))
    problem = Problem("some few steps", Lorenz(), y0, np.array([0.625, 0.75, 1.625]), times, loss)
    subject = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-8, land=True), Backprop())
    found, truth = ladder(subject, lambda s: s.solution(problem)), solution(problem)
    error = float(np.max(np.abs(found.value - truth.value)))
    assert (
        np.max(found.budget["roundoff"]) + truth.radius.max() < error / 4
    )  # without the tolerance it would be refuted
    assert error < found.radius.max() < 2e-10


def wrong_rung(*errors: float, solver=Adaptive("dopri5", rtol=1e-7), promise: float = math.inf) -> int:
    """The number of the rung that is wrong by itself among rungs with these errors; 0 for none."""
    rungs = [refinement.Rung(Subject(SHIPPED, solver, Backprop()), np.array([1.0, 1.0 + e]), 100, 1.0) for e in errors]
    seen = refinement.Refined(rungs, {"truncation": math.inf}, lambda _: promise)
    found = refinement.erratic(seen, Bounded(np.ones(2)), undecided=True)
    return found.rung if found else 0


def test_a_rung_that_is_wrong_among_right_ones_is_a_defect() -> None:
    steps = FixedStep("rk4", step=0.1)
    assert wrong_rung(0.27, 3.5e-9, 0.27, 4e-10, 0.27) == 3
    assert wrong_rung(0.27, 3.5e-9, 0.27, 4e-10, 0.27, solver=steps) == 3
    assert wrong_rung(3.5e-9, 0.27, 3.5e-11) == 2
    assert wrong_rung(0.27, 3.5e-9, 4e-10, promise=2e-2) == 1


def test_right_rungs_are_none() -> None:
    steps = FixedStep("euler", step=0.1)
    assert not wrong_rung(1e-6, 1e-7, 1e-8)
    assert not wrong_rung(1e-6, 4.4e-6, 1e-7)
    assert not wrong_rung(1e-3, 1e-9, 2.5e-4, 6e-5, 1.5e-5, solver=steps)  # one rung near by luck
    assert not wrong_rung(3e9, 1e12, 1e7, 1e-3, 5e-4, solver=steps)  # unstable steps: a peak
    assert not wrong_rung(1e-17, 2e-13, 1e-17)  # round-off
    assert not wrong_rung(0.27, 3.5e-9, 4e-10)  # nothing is promised, and the first rung may be so
    assert not wrong_rung(1e-6, 1e-7, 1e-8, promise=2e-6)


def test_steps_that_are_unstable_are_no_false_alarm() -> None:
    """Explicit Euler on y' = -100 y: 19⁵, 9¹⁰, 4²⁰, ... and then, from a step of 1/50 on, the right answer."""
    shape = (3, 1, 1)
    loss = SquaredError(np.ones(shape), 0.25 * np.ones(shape))
    problem = Problem("stiff", Linear(1), np.ones((1, 1)), np.array([-100.0, 0.0]), np.array([0.0, 0.5, 1.0]), loss)
    subject = Subject(SHIPPED, FixedStep("euler", step=0.2), Backprop())
    records = check(subject, problem, ["SOL-2", "NODE-2"], validate=False)
    assert all(record.verdict != "refuted" for record in records), records
