"""What is done in place of claims: which defects those tests let pass."""

from __future__ import annotations

import pytest

from odecheck.selftest import other_tests


def test_gradcheck_lets_a_defect_pass_that_a_claim_refutes() -> None:
    assert not other_tests.torchdiffeq_gradcheck("y0", 3e-4)
    assert other_tests.torchdiffeq_gradcheck("y0", 0.1)


@pytest.mark.parametrize(
    ("test", "part", "passes", "refuted"),
    [
        (other_tests.torchdiffeq_solution, "solution", 1e-5, 1e-2),
        (other_tests.torchode_there_and_back, "solution", 1e-6, 1e-2),
        (other_tests.torchdiffeq_comparison, "theta", 1e-6, 10.0),
        (other_tests.torchode_gradcheck, "theta", 1e-9, 0.1),
    ],
)
def test_the_right_answer_and_a_small_defect_pass_and_a_large_one_does_not(test, part, passes, refuted) -> None:
    assert not test(part, 0.0) and not test(part, passes) and test(part, refuted)


def test_every_other_test_looks_at_something() -> None:
    assert all(parts for _, parts in other_tests.OTHERS.values())
