"""What a claim costs is its own seconds and those of the reference, which the first subject of a problem pays."""

from __future__ import annotations

import pytest

from odecheck.studies.costs import Spent, summarised


def spent(claim: str, field: str, size: int, engine: str, seconds: float) -> Spent:
    return Spent(claim, field, f"problem of {field}", size, f"subject of {engine}", engine, seconds)


def test_the_reference_is_told_from_the_subject_and_cost_follows_size():
    rows = [
        spent("NODE-2", field, size, engine, seconds * size / 10)
        for field, size in (("Linear", 10), ("Mlp", 40), ("Pendulum", 160))
        for engine, seconds in (("a", 1.5), ("b", 0.5), ("c", 0.5))
    ]
    found = summarised(rows)
    assert found["claims"]["NODE-2"]["Mlp"] == [pytest.approx(2.0), pytest.approx(4.0), 40]
    assert found["exponent"] == 1.0
    assert found["spread"] >= 1.5


def test_engines_that_cost_more_have_a_factor():
    rows = [
        spent(f"NODE-{i}", "Linear", 10, engine, seconds)
        for i in range(30)
        for engine, seconds in (("first", 1.0), ("dear", 0.9), ("cheap", 0.1))
    ]
    engines = summarised(rows)["engines"]
    assert engines["dear"][""] == pytest.approx(1.8) and engines["cheap"]["NODE-3"] == pytest.approx(0.2)


def test_the_reference_is_what_the_first_subject_takes_less_the_second_time():
    rows = [
        spent("NODE-2", "Linear", 10, engine, seconds)
        for engine, seconds in (("first", 5.0), ("cheap", 0.5), ("first", 1.0), ("dear", 10.5))
    ]
    own, reference, _ = summarised(rows)["claims"]["NODE-2"]["Linear"]
    assert own == pytest.approx(4.0) and reference == pytest.approx(4.0)


def test_an_engine_may_be_dear_in_one_claim_and_cheap_in_another():
    rows = [
        spent(f"NODE-{i}", "Linear", 10, engine, seconds)
        for i in range(30)
        for engine, seconds in (("first", 1.0), ("a", 0.1 if i % 2 else 0.9), ("b", 0.9 if i % 2 else 0.1))
    ]
    engines = summarised(rows)["engines"]
    assert engines["a"]["NODE-1"] == engines["b"]["NODE-2"] == pytest.approx(0.2)
    assert engines["a"]["NODE-2"] == engines["b"]["NODE-1"] == pytest.approx(1.8)
    assert engines["a"][""] == pytest.approx(0.6)
