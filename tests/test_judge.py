"""The laws of the judge and of the ladder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.fields import Lorenz
from odecheck_reference.losses import SquaredError

from odecheck.engines.torchdiffeq import Backprop
from odecheck.judge import Verdict, judge
from odecheck.refinement import ladder
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

numbers = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
sizes = st.floats(0, 1e3)


@given(o=numbers, e=numbers, a=sizes, b=sizes)
def test_a_gap_beyond_the_bar_is_refuted_and_nothing_else_is(o: float, e: float, a: float, b: float) -> None:
    verdict = judge(Bounded([o], {"a": a}), Bounded([e], {"b": b}), resolution=1e-3).verdict
    gap = abs(o - e)
    if abs(gap - (a + b)) > 1e-9 * (1 + gap):
        assert (verdict == Verdict.REFUTED) == (gap > a + b)


@given(o=numbers, e=numbers, a=sizes, wider=sizes)
def test_a_wider_bar_never_turns_inconclusive_into_holds(o: float, e: float, a: float, wider: float) -> None:
    narrow = judge(Bounded([o], {"a": a}), Bounded([e]), resolution=1e-3).verdict
    wide = judge(Bounded([o], {"a": a, "more": wider}), Bounded([e]), resolution=1e-3).verdict
    if narrow == Verdict.INCONCLUSIVE:
        assert wide == Verdict.INCONCLUSIVE


@given(e=st.floats(1.0, 1e3), bar=st.floats(0, 1e-2), error=st.floats(-1, 1), more=st.floats(1.01, 10))
def test_what_it_says_it_could_have_seen_is_refuted(e: float, bar: float, error: float, more: float) -> None:
    honest = judge(Bounded([e + 0.99 * error * bar], {"a": bar}), Bounded([e]), resolution=math.inf)
    assert honest.verdict == Verdict.HOLDS
    defect = (1 + honest.resolved * more) * e + 0.99 * error * bar
    if honest.resolved > 1e-12:
        assert judge(Bounded([defect], {"a": bar}), Bounded([e]), resolution=math.inf).verdict == Verdict.REFUTED


def test_a_wide_bar_is_inconclusive_and_never_green() -> None:
    assert judge(Bounded([1.0], {"a": 0.1}), Bounded([1.0]), resolution=1e-3).verdict == Verdict.INCONCLUSIVE
    assert judge(Bounded([1.0], {"a": math.inf}), Bounded([1.0]), resolution=1e9).verdict == Verdict.INCONCLUSIVE
    assert judge(Bounded([0.0]), Bounded([0.0]), resolution=1e-3).verdict == Verdict.INCONCLUSIVE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_observed_value_that_is_no_number_is_refuted(bad: float) -> None:
    verdict = judge(Bounded([1.0, bad], {"a": math.inf}), Bounded([1.0, 1.0]), resolution=1.0).verdict
    assert verdict == Verdict.REFUTED


def test_the_worst_component_and_the_largest_term_are_named() -> None:
    observed = Bounded(np.array([[1.0, 2.0], [3.0, 8.0]]), {"truncation": 0.5, "roundoff": 0.25})
    expected = Bounded(np.array([[1.0, 2.0], [3.0, 4.0]]), {"spread": 1.0})
    got = judge(observed, expected, resolution=1.0)
    assert (got.verdict, got.worst, got.ratio, got.bar) == (Verdict.REFUTED, (1, 1), 2.0, 1.75)
    assert list(got.budget) == ["expected: spread", "observed: truncation", "observed: roundoff"]


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        judge(Bounded([1.0]), Bounded([1.0, 2.0]), resolution=1.0)


@pytest.mark.parametrize("term", [-1.0, math.nan])
def test_an_error_term_that_is_no_bound_is_refused(term: float) -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        Bounded([1.0], {"a": term})


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
