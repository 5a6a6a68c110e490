"""Deliberately wrong subjects, by the kind of mistake; each is made from a right subject.

The mistakes that are made in solutions and first derivatives are here by name: `odecheck.mutants.SCALED_FIELD`. The
means to make others are in `base`.
"""

from .derivatives import *  # noqa: F403
