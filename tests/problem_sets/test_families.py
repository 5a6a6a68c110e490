"""Drawn problems: the same everywhere, typed with few digits, and found by patterns of their names."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference.fields import Adam, HeavyBall

from odecheck.claim import FAMILIES as FAMILIES_OF_CLAIMS
from odecheck.claims import ALL
from odecheck.problem_sets.families import FAMILIES, draw, families_of


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drawn_problem_is_the_same_each_time(family: str) -> None:
    one, other = FAMILIES[family].draw(3), FAMILIES[family].draw(3)
    assert np.array_equal(one.theta, other.theta) and np.array_equal(one.y0, other.y0) and one.name == other.name
    assert not np.array_equal(one.ts, FAMILIES[family].draw(4).ts)


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_can_be_typed_and_times_increase(family: str) -> None:
    problem = draw(family)
    assert problem is draw(family) and problem.name == f"{family} #0"
    for numbers in (problem.ts, problem.theta):
        assert np.array_equal(np.round(64 * numbers), 64 * numbers)
    assert len(problem.ts) == 4 and (np.diff(problem.ts) > 0).all()


def test_the_second_moment_starts_above_zero() -> None:
    for name, family in FAMILIES.items():
        if isinstance(family.field, Adam):
            assert draw(name).y0[:, family.field.parts["v"]].min() > 0


def test_patterns_are_as_of_file_names() -> None:
    assert families_of("linear", "Adam*")[0] == "linear"
    assert families_of("no such*") == ()
    balls = families_of("heavy ball*")
    assert balls and all(isinstance(FAMILIES[name].field, HeavyBall) for name in balls)


def test_every_pattern_of_a_family_of_claims_matches_something() -> None:
    assert ALL  # they are declared when claims are imported
    patterns = [pattern for family in FAMILIES_OF_CLAIMS.values() for pattern in family.drawn]
    assert patterns and all(families_of(pattern) for pattern in patterns)
