"""The laws of the judge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odecheck_reference import Bounded

from odecheck.judge import Verdict, judge

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
