"""How another's suite is counted: subtests, tests without any, and what asks about internals."""

from __future__ import annotations

from pathlib import Path

import pytest

from odecheck.studies.others_suite import main, run

SUITE = """
import unittest
import torchdiffeq

class TestOne(unittest.TestCase):
    def test_alone(self):
        self.assertEqual(torchdiffeq.odeint_adjoint(2), 4)

    def test_parts(self):
        for n in range(3):
            with self.subTest(n=n):
                self.assertEqual(torchdiffeq.odeint_adjoint(n), 2 * n)

    def test_internals(self):
        for n in range(2):
            with self.subTest(n=n):
                self.assertTrue(torchdiffeq.odeint_adjoint(n).adjoint_options)
"""


def test_parts_are_counted_and_failures_say_why(tmp_path: Path) -> None:
    (tmp_path / "small_tests.py").write_text(SUITE)
    right = run(tmp_path, lambda n: 2 * n)
    assert (len(right.passed), len(right.failed), len(right.internal), right.counted) == (4, 0, 2, 4)
    wrong = run(tmp_path, lambda n: n * n)
    assert (len(wrong.passed), len(wrong.failed)) == (3, 1)
    assert wrong.failed == [(wrong.failed[0][0], "AssertionError: 1 != 2")] and "n=1" in wrong.failed[0][0]


def test_a_folder_without_a_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkout of torchdiffeq"):
        main([str(tmp_path)])
