"""Questions about what is around a solve: scripts find what is wrong in a library, and nothing in what is right."""

from __future__ import annotations

from odecheck.engines.torchdiffeq import Adjoint, Backprop
from tests.reproduce.alone import DOPRI5, RK4, acquits, reproduces


def test_defects_are_reproduced_by_the_library_alone(tmp_path):
    reproduces([("DER-22", RK4, Backprop()), ("DER-23", RK4, Backprop())], tmp_path)


def test_what_is_right_is_not_reproduced_and_each_script_can_fail(tmp_path):
    right = [
        ("DER-18", DOPRI5, Adjoint(), 1e-3),
        ("DER-19", DOPRI5, Backprop(), 1e-3),
        ("DER-20", DOPRI5, Backprop(), 1e-4),
        ("DER-21", DOPRI5, Adjoint(), 1e-3),
        ("DER-22", DOPRI5, Backprop(), 1e-3),
        ("DER-23", DOPRI5, Adjoint(), 1e-2),
        ("DER-24", DOPRI5, Backprop(), 1e-3),
        ("DER-25", DOPRI5, Adjoint(), 1e-3),
        ("SOL-19", DOPRI5, Backprop(), 1e-3),
        ("SOL-20", DOPRI5, Backprop(), 1e-3),
        ("SOL-21", DOPRI5, Backprop(), 1e-3),
    ]
    acquits(right, (), tmp_path)
