"""A mistake that the first claim has to refute."""

from __future__ import annotations

from odecheck.mutants.base import then, wrong_engine

SHIFTED_SOLUTION = wrong_engine("every state one per cent off", solution=then("solution", lambda y: 1.01 * y))
