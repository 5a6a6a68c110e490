"""Limits: refused where they are none, kept where they can be, and what is printed is caught.

Those that end a process are tried in tests/runner/test_pool.py.
"""

import os
import signal
import time

import pytest

from odecheck import BadInput
from odecheck.runner.limits import SHOWN, Limits, OutOfTime, Printed, limit_memory, within


@pytest.mark.parametrize(
    ("limits", "fix"),
    [
        ({"seconds": 0}, "--timeout 120"),
        ({"seconds": float("inf")}, "--timeout 120"),
        ({"memory": -1}, "--memory 6"),
        ({"cpu": float("nan")}, "or no --timeout"),
    ],
)
def test_a_limit_that_is_none_is_refused(limits, fix):
    with pytest.raises(BadInput, match=f"the limit of {next(iter(limits))} is") as caught:
        Limits(**limits)
    assert fix in caught.value.fix


def test_time_that_is_up_is_said_even_to_a_library_that_catches_everything():
    before = signal.getsignal(signal.SIGALRM)

    def library():
        try:
            time.sleep(5)
        except Exception:
            pytest.fail("OutOfTime is an Exception")

    with pytest.raises(OutOfTime), within(0.05):
        library()
    assert signal.getsignal(signal.SIGALRM) is before


def test_without_a_limit_and_within_it_nothing_happens():
    with within(None), within(30.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    limit_memory(None)


def test_what_is_printed_is_caught_from_python_and_from_below_it(capfd):
    with capfd.disabled():
        before = os.fstat(1).st_ino
        with Printed() as printed:
            print("one\ntwo")
            os.write(1, b"three\n")
            first, second = printed.take(), printed.take()
            print("x" * 5 * SHOWN)
            long = printed.take()
        assert os.fstat(1).st_ino == before
    assert sorted(first.split()) == ["one", "three", "two"] and second == ""
    assert long == "x" * SHOWN + " …"
