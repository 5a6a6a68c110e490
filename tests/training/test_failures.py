"""What ends a training with a row, and what is an error of the program."""

from __future__ import annotations

import pytest

from odecheck.training.failures import FAILURES, GIVEN_UP, given_up


@pytest.mark.parametrize("said", GIVEN_UP)
def test_what_torchdiffeq_gives_up_is_told_in_one_line(said: str) -> None:
    assert given_up(AssertionError(f"{said} 0.0\nmore")) == f"AssertionError: {said} 0.0"


def test_another_assertion_is_raised_again() -> None:
    with pytest.raises(AssertionError, match="a mistake"):
        given_up(AssertionError("a mistake of the task's author"))
    assert given_up(ZeroDivisionError()) == "ZeroDivisionError: " and ZeroDivisionError not in FAILURES
