"""Findings about the precision of the numbers that a solve is made in: float32 where it hurts, half of it, rounding."""

from __future__ import annotations

import torch

from odecheck.judge import Verdict

from .call import Call
from .precision import HALF
from .promise import rounding
from .row import Row

# a tolerance of this part of what rounding leaves is worth a note; torchdiffeq's own default is not
BELOW = 0.25
# an error in half precision that is worth a finding, relative
COARSE = 1e-2


def of_the_rounding(call: Call, row: Row, largest: float) -> None:
    """A tolerance below the rounding of the state's own numbers. largest: the largest number of the solution."""
    dtype = call.start[0].dtype
    asked = row.atol + row.rtol * largest
    left = rounding(dtype) * largest
    if row.adaptive and dtype == torch.float32 and asked < BELOW * left:
        row.say(
            "tolerance below rounding",
            f"rtol={row.rtol:g}, atol={row.atol:g} ask for errors of {asked:.1e} in a step, and float32 rounds numbers "
            f"of this size by {left:.1e}: such a tolerance costs steps and cannot be kept; rtol=1e-6, or y0.double() "
            "and a field in float64",
        )


def is_much_better(in_double: float, error: float) -> bool:
    """Whether the error of a solve in float64 is so much smaller that the precision of its numbers is worth a word."""
    return error > max(1e-4, 5 * in_double)


def of_the_precision(call: Call, row: Row, error: float, in_double: float, inside: torch.dtype | None) -> None:
    """float32 where it hurts, or half of it: the same solve in float64 is much closer to the truth.

    inside: in which half precision the field computes by itself.
    """
    state = call.start[0].dtype if call.start[0].dtype in HALF else None
    half = call.autocast or state or inside
    if not is_much_better(in_double, error):
        return
    if half:
        broken = row.quantities["solution"].verdict is Verdict.REFUTED
        where = "under autocast" if call.autocast else "with a state of its own" if state else "inside its forward"
        name = str(half).removeprefix("torch.")
        row.say(
            "half precision",
            f"the field runs in {name} {where}: the solution is off by {error:.1e}, the same solve in float64 by "
            f"{in_double:.1e}"
            + (", and the tolerance is not kept" if broken else "")
            + "; "
            + ('solve inside torch.autocast("cpu", enabled=False), or "cuda", with y0.float()')
            * (inside is None or inside != half)
            + "the field with .float() and no cast in its forward" * (half is inside),
            wrong=broken or error > COARSE,
        )
    else:
        row.say(
            "float32 hurts",
            f"in float32 the solution is off by {error:.1e}, the same solve in float64 by {in_double:.1e}: "
            "large numbers beside small ones, or times far from 0; shift and scale the state, or solve in float64",
        )
