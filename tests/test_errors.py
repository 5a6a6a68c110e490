"""An error says what was seen, its usual cause and what to type, and comes through a process whole."""

import pickle

import pytest

from odecheck.errors import BadInput, CurvatureError, NotApplicable, Unsupported


def test_bad_input_says_three_things_and_survives_a_process():
    error = pickle.loads(pickle.dumps(BadInput("rtol is 0", "no limit was meant", "rtol=1e-7")))
    assert (error.seen, error.cause, error.fix) == ("rtol is 0", "no limit was meant", "rtol=1e-7")
    assert str(error) == "rtol is 0\n  usual cause: no limit was meant\n  what to type: rtol=1e-7"


@pytest.mark.parametrize(
    ("ours", "known"), [(BadInput, ValueError), (Unsupported, NotImplementedError), (CurvatureError, RuntimeError)]
)
def test_who_catches_pythons_own_kinds_catches_ours(ours, known):
    assert issubclass(ours, known) and not issubclass(NotApplicable, known)
