"""A library that is missing, crashes, hangs, takes all memory or prints is a row; the run goes on, nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from odecheck import Subject, Verdict, check, problems
from odecheck.commands.cli import app
from odecheck.conformance.libraries import versions
from odecheck.conformance.matrix import matrix
from odecheck.runner.limits import GIB, Limits, OutOfTime, within
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED
from tests import bad_engines

LIMITS = Limits(seconds=2.0, memory=3 * GIB, grace=1.0)


def test_time_is_up_in_python():
    begun = time.monotonic()
    with pytest.raises(OutOfTime), within(0.2):
        bad_engines.hang()
    assert 0.1 < time.monotonic() - begun < 5.0
    with within(0.2):
        pass
    time.sleep(0.3)  # a time limit ends with its block


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"seconds": -1.0}, {"memory": 0}])
def test_limits_are_positive(wrong):
    with pytest.raises(ValueError, match="has to be positive"):
        Limits(**wrong)


PRINTING = """
import os
from odecheck.runner.limits import Printed
with Printed() as printed:
    assert printed.take() == ""
    print("hello from Python")
    os.write(1, b"and from below it")
    assert set(printed.take().split()) == {"hello", "from", "Python", "and", "below", "it"}
    assert printed.take() == ""
    print("x" * 5000)
    assert len(printed.take()) < 400
print("after")
"""


def test_what_is_printed_is_caught_and_given_back():
    done = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, text=True, check=True)
    assert done.stdout == "after\n"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    bad_engines.BAD = (
        bad_engines.BAD
        if bad_engines.BAD.tested == (version("torch"),)
        else bad_engines.Library("bad", "torch", (version("torch"),), bad_engines.asks, bad_engines.KNOWN)
    )
    known = (bad_engines.MISSING, bad_engines.UNTESTED, bad_engines.BROKEN, bad_engines.BAD)
    folder = tmp_path_factory.mktemp("run")
    whole = matrix(list(versions((), folder, known)), folder, claim=["SOL-9"])
    return whole.run(workers=2, limits=LIMITS, folder=folder / "run")


def of(rows, method):
    (row,) = (row for row in rows if row.library == "bad" and row.method == method)
    return row


def test_every_case_has_its_row(rows):
    assert {row.method for row in rows if row.library == "bad"} == {*bad_engines.DEEDS, "rk4"}
    assert len({row.row for row in rows}) == len(rows)


def test_the_good_one_beside_them_holds(rows):
    assert (of(rows, "rk4").verdict, of(rows, "rk4").ok) == ("holds", True)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("crash", "RuntimeError: out of luck"),
        ("segfault", "the process died"),
        ("vanish", "the process died"),
        ("leave", "the subject ended its process: SystemExit(enough)"),
        ("hang", "no answer within 2 seconds"),
        ("hang_and_swallow", "no answer within 2 seconds; its process was ended"),
        ("hang_out_of_reach", "no answer within 2 seconds; its process was ended"),
        ("take_all_memory", "memory"),
        ("take_all_memory_in_python", "Memory"),
    ],
)
def test_a_bad_engine_is_an_error_row(rows, method, said):
    row = of(rows, method)
    assert row.verdict == Verdict.ERROR
    assert said in row.message
    assert row.ok == (method == "crash")  # the only one of which it was known


def test_an_engine_that_prints_holds_and_the_row_says_what_it_printed(rows):
    row = of(rows, "print_much")
    assert row.verdict == "holds"
    assert "printed to standard output: " in row.message
    assert "hello from Python" in row.message and "and from below it" in row.message


def test_what_holds_although_known_to_fail_is_not_expected(rows):
    assert not of(rows, "print_much").ok
    assert of(rows, "print_much").expected_failure


def test_a_library_that_is_not_installed_says_what_to_type(rows):
    (row,) = (row for row in rows if row.library == "missing")
    assert row.verdict == "unsupported"
    assert row.ok
    assert "pip install no-such-package-of-odecheck==1.0" in row.message


def test_one_that_was_asked_for_by_name_and_is_missing_is_not_expected(tmp_path):
    found = list(versions(["missing"], tmp_path, (bad_engines.MISSING,)))
    assert [row.ok for row in matrix(found, tmp_path).notices] == [False]
    (other,) = versions(["untested==9"], tmp_path, (bad_engines.UNTESTED,))
    assert other.fix == "pip install numpy==9"


def test_a_version_that_was_not_tested_is_run_and_said(rows):
    said, *ran = (row for row in rows if row.library == "untested")
    assert "not tested with" in said.message and said.verdict == "not applicable" and said.ok
    assert [row.verdict for row in ran] == ["holds"]


def test_a_library_that_does_not_import_is_a_row(rows):
    (row,) = (row for row in rows if row.library == "broken" and row.verdict == "error")
    assert not row.ok
    assert "operator does not exist" in row.message


def test_verify_has_the_same_limits():
    subject = Subject(SHIPPED, FixedStep("rk4", step=0.1), bad_engines.Bad("hang"))
    (record,) = check(subject, problems()[0], "SOL-9", limits=Limits(seconds=0.5), validate=False)
    assert record.verdict == "error" and record.message == "no answer within 0.5 seconds"


def test_verify_takes_a_time_for_each_case(tmp_path):
    typed = ["verify", "--claim", "SOL-1", "--problem", "linear", "--subject", "rk4", "--workers", "1"]
    done = CliRunner().invoke(app, [*typed, "--timeout", "60", "--run", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [*typed, "--timeout", "0", "--run", str(tmp_path / "other")])
    assert done.exit_code == 2
    assert "has to be positive" in done.output
