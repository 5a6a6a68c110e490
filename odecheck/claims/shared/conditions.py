"""What the statements about heavy-ball neural ODEs depend on, worked out from the reference."""

from __future__ import annotations

import numpy as np
from odecheck_reference import Problem, solution
from odecheck_reference import heavy_ball as exact
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Fixed, Free, Learnt

from odecheck.claim import Condition
from odecheck.errors import NotApplicable
from odecheck.refinement import ROUNDOFF


def heavy_ball(problem: Problem, *, plain: bool = False) -> exact.Pieces:
    """The pieces of a heavy-ball problem, of an HBNODE in the narrow sense if `plain`. Raises NotApplicable."""
    try:
        pieces = exact.pieces(problem)
    except TypeError as reason:
        raise NotApplicable(str(reason)) from None
    if plain and not pieces.plain:
        raise NotApplicable("the field has a spring or an activation of its momentum: see HB-8")
    return pieces


def _jets(problem: Problem) -> tuple[exact.Pieces, list[tuple[float, Array]]]:
    return heavy_ball(problem), [(float(t), y) for t, y in zip(problem.ts, solution(problem).value, strict=True)]


def clearly_false(literal: Array, truth: Array, condition: Condition, problem: Problem) -> None:
    """Raises NotApplicable where a condition is not met, but so nearly that the sentence is off by less than 1e-3."""
    off = float(np.max(np.abs(literal - truth))) / max(float(np.max(np.abs(truth))), np.finfo(np.float64).tiny)
    if off < 1e-3 and not condition.met(problem):
        raise NotApplicable(
            f"{condition.text}: hardly violated here, the sentence is off by {off:.1e}. Too little to tell"
        )


def constant_damping(problem: Problem) -> bool:
    return isinstance(heavy_ball(problem).field.gamma, Fixed | Free | Learnt)


def constant_jacobian(problem: Problem) -> bool:
    p, points = _jets(problem)
    size = max(np.max(np.abs(p.jacobian(t, y)), initial=0.0) for t, y in points)
    return all(np.max(np.abs(p.jacobian_rate(t, y))) <= ROUNDOFF * size for t, y in points)


def _symmetric_jacobian(problem: Problem) -> bool:
    p, points = _jets(problem)
    all_j = np.stack([p.jacobian(t, y) for t, y in points])
    return bool(np.max(np.abs(all_j - np.swapaxes(all_j, -1, -2))) <= ROUNDOFF * np.max(np.abs(all_j)))


def linearised(problem: Problem) -> Array:
    """M = ∂F/∂y at the observed times: (times, batch, state, state)"""
    _, points = _jets(problem)
    d = problem.field.state
    jets = [problem.field.jet(t, y, problem.theta, 1).first for t, y in points]
    return np.stack([first[:, :, 1 : 1 + d] for first in jets if first is not None])


def commuting(problem: Problem) -> bool:
    m = linearised(problem)
    brackets = m[:, None] @ m[None] - m[None] @ m[:, None]
    return bool(np.max(np.abs(brackets)) <= ROUNDOFF * np.max(np.abs(m)) ** 2)


CONSTANT_DAMPING = Condition("the damping does not depend on time", constant_damping)
CONSTANT_JACOBIAN = Condition("J is constant along the trajectory", constant_jacobian)
SYMMETRIC_JACOBIAN = Condition("f is a gradient field: J is symmetric", _symmetric_jacobian)
COMMUTING = Condition("the matrices M(t) of the linearised system commute", commuting)
