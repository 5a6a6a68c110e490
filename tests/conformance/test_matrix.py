"""Rows, what is expected of them, how they are shown, and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck import SHIPPED, Subject
from odecheck.claims import CONFORMANCE
from odecheck.cli import app
from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import COLUMNS, digest, is_expected, known_failure, matrix, row_of, unexpected
from odecheck.conformance.plan import claims, posed
from odecheck.conformance.render import markdown
from odecheck.engines.library import Asked, Known, Library, named
from odecheck.engines.scipy import LIBRARY, ScipyEngine, SolveIvp
from odecheck.judge import Verdict
from odecheck.problem_sets.conformance import network
from odecheck.runner.case import Case

WAY = Asked(SolveIvp("RK45", rtol=1e-7), ScipyEngine(), "solve_ivp", "RK45")
SAMPLE = Library(
    "sample",
    "scipy",
    ("1", "2"),
    lambda release, folder: [WAY],
    (Known("a reason", claims=("SOL-2",), methods=("RK*",), versions=("1",), problems=("small*",)),),
)


@pytest.fixture(scope="module")
def record():
    (claim,) = (c for c in claims("solution") if c.id == "SOL-2")
    return Case(Subject(SHIPPED, WAY.solver, WAY.engine), network(), claim).run()


def test_a_known_failure_is_found_by_all_its_names():
    assert known_failure(SAMPLE, "1", WAY, "SOL-2", "small tanh network") == "a reason"
    assert known_failure(SAMPLE, "2", WAY, "SOL-2", "small tanh network") == ""
    assert known_failure(SAMPLE, "1", WAY, "SOL-3", "small tanh network") == ""
    assert known_failure(SAMPLE, "1", WAY, "SOL-2", "linear") == ""
    assert known_failure(SAMPLE, "1", replace(WAY, method="BDF"), "SOL-2", "small tanh network") == ""


def test_an_untested_version_is_held_to_the_newest_tested_one():
    newest = replace(SAMPLE, tested=("2", "1"))
    assert known_failure(newest, "9", WAY, "SOL-2", "small tanh network") == "a reason"


def test_a_known_failure_has_a_reason():
    with pytest.raises(ValueError, match="has no reason"):
        named(Known(" ", claims=("SOL-2",)))


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


def test_all_claims_of_conformance_are_asked_of_somebody():
    asked = {c.id for topic in ("solution", "derivatives", "use") for c in claims(topic)}
    assert {c.id for c in CONFORMANCE} <= asked
    for topic in ("solution", "derivatives", "use"):
        for claim in claims(topic):
            brief, whole = posed(claim, True), posed(claim, False)
            assert brief and {p.name for p in brief} <= {p.name for p in whole}


def test_the_matrix_shows_what_is_refuted_and_why(record):
    good = row_of(record, Version(SAMPLE, "2"), WAY)
    refuted = replace(record, verdict=Verdict.REFUTED, observed=2.0, expected=1.0, bar=0.1, score=10.0)
    known = row_of(refuted, Version(SAMPLE, "1"), WAY)
    news = row_of(refuted, Version(SAMPLE, "2"), replace(WAY, method="BDF"))
    text = markdown([good, known, news], {"versions": {"torch": "2"}})
    assert unexpected([good, known, news]) == [news]
    assert "| 1 | solve_ivp | RK45 | ✗ |" in text
    assert "| 2 | solve_ivp | RK45 | ✓ |" in text
    assert "| 2 | solve_ivp | BDF | **✗** |" in text
    assert "a reason. SOL-2; 1 rows" in text
    assert text.index("## Not expected") < text.index(f"| {news.row} | sample 2")


def test_only_what_is_asked_for_is_run(tmp_path):
    found = [Version(LIBRARY, LIBRARY.tested[-1])]
    whole = matrix(found, tmp_path, claim=["sol-9"], method="radau")
    assert [(u.subject.solver.method, [c.id for c in u.claims]) for u in whole.units] == [("Radau", ["SOL-9"])]
    assert matrix(found, tmp_path, engine="nothing of the kind").units == ()


def test_the_command_writes_three_files_and_goes_on_with_a_run(tmp_path):
    run, out = str(tmp_path / "run"), tmp_path / "out"
    typed = ["conformance", "scipy", "--method", "RK45", "--claim", "SOL-9", "--run", run, "--workers", "1"]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, typed)
    assert again.exit_code == 2
    assert "already holds a run" in again.output
    done = CliRunner().invoke(app, [*typed, "--resume", "--write", str(out)])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out / "conformance.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert set(table.verdict) == {"holds"} and table.ok.all()
    rows = json.loads((out / "conformance.json").read_text())["records"]
    assert [row["row"] for row in rows] == list(table.row)
    assert "# Conformance of solver libraries" in (out / "conformance.md").read_text()


def test_a_misspelt_library_is_bad_input(tmp_path):
    done = CliRunner().invoke(app, ["conformance", "torchdifeq", "--run", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "one of torchode" in done.output
