"""Two runs that say the same are told to, whatever they took; one other number, or a case that is missing, is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from odecheck_reference import catalogue

from odecheck import SHIPPED, Backprop, FixedStep, Subject, check
from odecheck.studies.same_records import differences, main

SUBJECT = Subject(SHIPPED, FixedStep("rk4", step=0.25), Backprop())


def run(folder=None, *claims: str):
    asked = claims or ("SOL-9", "SNOPT-4")  # one has numbers, of the other there are none
    return check(SUBJECT, catalogue.quick()[0], asked, validate=False, folder=folder)


def test_runs_that_say_the_same_whatever_they_took(tmp_path, capsys):
    run(tmp_path / "one")
    run(tmp_path / "other")
    assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 0
    assert "2 and 2 records, which say the same" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"observed": 0.5}, {"nfe": 7}, {"bar": float("inf")}, {"verdict": "refuted"}])
def test_any_other_number_is_told(change):
    records = run()
    ((column, value),) = change.items()
    found = differences(records, [replace(records[0], **change), *records[1:]])
    assert {column: [(records[0].key, getattr(records[0], column), value)]} == found


def test_a_case_that_is_missing_is_told(tmp_path, capsys):
    run(tmp_path / "one")
    run(tmp_path / "other", "SOL-9")
    assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 1
    assert "case: 1 rows, SNOPT-4" in capsys.readouterr().out
