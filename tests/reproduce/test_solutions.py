"""Questions about solutions: a script finds what is wrong in a library, and nothing where there is nothing."""

from __future__ import annotations

import pytest

from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import Adaptive, FixedStep
from tests.reproduce.alone import DOPRI5, RK4, acquits, reproduces

ADAMS, EXPLICIT = FixedStep("implicit_adams", step=0.02), FixedStep("explicit_adams", step=0.02)
WRONG = [
    ("SOL-10", ADAMS, Backprop()),
    ("SOL-12", EXPLICIT, Backprop()),
    ("SOL-5", Adaptive("bosh3", rtol=1e-6), Backprop()),
    ("SOL-18", Adaptive("dopri8", rtol=1e-9), Backprop()),
]
# the same questions, asked of what is right
RIGHT = [
    ("SOL-2", DOPRI5, Backprop(), 1e-3),
    ("SOL-6", DOPRI5, Backprop(), 1e-3),
    ("SOL-7", DOPRI5, Backprop(), 1e-3),
    ("SOL-8", DOPRI5, Backprop(), 1e-3),
    ("SOL-9", DOPRI5, Backprop(), 1e-3),
    ("SOL-10", RK4, Backprop(), 1.0),
    ("SOL-12", RK4, Backprop(), 1.0),
    ("SOL-5", DOPRI5, Backprop(), 0.5),
    ("SOL-13", DOPRI5, Backprop(), 1e-3),
    ("SOL-15", DOPRI5, Backprop(), 2e-3),
    ("SOL-16", DOPRI5, Backprop(), 1e-3),
    ("SOL-17", DOPRI5, Backprop(), 1e-3),
    ("SOL-18", DOPRI5, Backprop(), 1.0),
]
# what compares a library with itself, or counts, or has its own function: a wrong solution leaves it as it is
UNMOVED = ("SOL-7", "SOL-8", "SOL-9", "SOL-10", "SOL-12", "SOL-5")


@pytest.mark.filterwarnings("ignore:Functional iteration")
def test_defects_are_reproduced_by_the_library_alone(tmp_path):
    reproduces(WRONG, tmp_path)


def test_what_is_right_is_not_reproduced_and_each_script_can_fail(tmp_path):
    acquits(RIGHT, UNMOVED, tmp_path)
