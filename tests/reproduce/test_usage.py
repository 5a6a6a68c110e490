"""Questions about use: a script finds what is wrong in a library, and nothing where there is nothing."""

from __future__ import annotations

from odecheck.engines.torchdiffeq import Adjoint, Backprop
from tests.reproduce.alone import DOPRI5, RK4, acquits, reproduces

WRONG = [
    ("HES-2", DOPRI5, Adjoint()),
    ("HES-3", RK4, Adjoint()),
    ("EVT-3", DOPRI5, Backprop()),
    ("USE-5", DOPRI5, Adjoint()),
    ("USE-6", DOPRI5, Adjoint()),
    ("DER-13", DOPRI5, Adjoint()),
]
# the same questions, asked of what is right
RIGHT = [
    ("DER-13", DOPRI5, Backprop(), 1e-3),
    ("HES-1", DOPRI5, Backprop(), 2e-3),
    ("EVT-2", DOPRI5, Backprop(), 1e-3),
    ("EVT-4", DOPRI5, Backprop(), 1e-3),
    ("USE-5", DOPRI5, Backprop(), 1e-3),
]
# what compares a library with itself, or counts, or has its own function: a wrong solution leaves it as it is
UNMOVED = ("DER-13", "USE-5", "EVT-2", "EVT-4")
# whose template was seen to fail above, with the same lines
SEEN = ("HES-1",)


def test_defects_are_reproduced_by_the_library_alone(tmp_path):
    reproduces(WRONG, tmp_path)


def test_what_is_right_is_not_reproduced_and_each_script_can_fail(tmp_path):
    acquits(RIGHT, (*UNMOVED, *SEEN), tmp_path)
