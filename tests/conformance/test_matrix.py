"""Rows, what is expected of them, how they are shown, and the command."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import digest, is_expected, known_failure, matrix, row_of
from odecheck.engines.scipy import LIBRARY
from odecheck.judge import Verdict
from odecheck.problem_sets.conformance import network
from tests.conformance.rows import SAMPLE, WAY, record_of_a_solution


@pytest.fixture
def record():
    return record_of_a_solution()


def test_a_known_failure_is_found_by_all_its_names():
    assert known_failure(SAMPLE, "1", WAY, "SOL-2", "small tanh network") == "a reason"
    assert known_failure(SAMPLE, "2", WAY, "SOL-2", "small tanh network") == ""
    assert known_failure(SAMPLE, "1", WAY, "SOL-3", "small tanh network") == ""
    assert known_failure(SAMPLE, "1", WAY, "SOL-2", "linear") == ""
    assert known_failure(SAMPLE, "1", replace(WAY, method="BDF"), "SOL-2", "small tanh network") == ""


def test_an_untested_version_is_held_to_the_newest_tested_one():
    newest = replace(SAMPLE, tested=("2", "1"))
    assert known_failure(newest, "9", WAY, "SOL-2", "small tanh network") == "a reason"
    own = replace(newest, known=(replace(SAMPLE.known[0], versions=("*+checkout*",)),))
    for release, why in (("1+checkout.0123abcdef", "a reason"), ("9", ""), ("1", "")):
        assert known_failure(own, release, WAY, "SOL-2", "small tanh network") == why


@pytest.mark.parametrize(
    ("verdict", "why", "expected"),
    [
        (Verdict.HOLDS, "", True),
        (Verdict.REFUTED, "", False),
        (Verdict.ERROR, "", False),
        (Verdict.HOLDS, "known", False),
        (Verdict.REFUTED, "known", True),
        (Verdict.ERROR, "known", True),
        (Verdict.INCONCLUSIVE, "", True),
        (Verdict.INCONCLUSIVE, "known", True),
        (Verdict.UNSUPPORTED, "", True),
    ],
)
def test_what_is_expected(record, verdict, why, expected):
    assert is_expected(replace(record, verdict=verdict), why) is expected


def test_a_row_says_its_error_in_tolerances(record):
    row = row_of(record, Version(LIBRARY, "1.0"), WAY)
    finest = 1e-7 / 10 ** (record.solves - 1)
    promised = finest / 100 + finest * abs(record.expected)
    assert row.error == abs(record.observed - record.expected)
    assert row.error_over_tolerance == pytest.approx(row.error / promised)
    assert 0 < row.error_over_tolerance < 1e4
    other = row_of(replace(record, claim="SOL-9"), Version(LIBRARY, "1.0"), WAY)
    assert math.isnan(other.error_over_tolerance)
    assert row.row == digest("SOL-2", f"{WAY.solver.name}, {WAY.engine.name}", network().name)
    assert row.expected_failure == ""


def test_only_what_is_asked_for_is_run(tmp_path):
    found = [Version(LIBRARY, LIBRARY.tested[-1])]
    whole = matrix(found, tmp_path, claim=["sol-9"], method="radau")
    assert [(u.subject.solver.method, [c.id for c in u.claims]) for u in whole.units] == [("Radau", ["SOL-9"])]
    assert matrix(found, tmp_path, engine="nothing of the kind").units == ()
