"""What a tolerance promises: how large an error of a solution, and of its gradient, it allows.

An adaptive solver accepts a step when its estimate of the error of that step, a root mean square over n components, is
at most w = atol + rtol max|y|. Each error is carried on by the flow, and grows by at most κ, the largest ‖Φ(t, s)‖₂ of
the transition matrices with s ≤ t. So with N steps the error at any output is at most (Lady Windermere's fan)

    |y_observed(t) − y(t)| ≤ κ N √n w.

An explicit Runge–Kutta method of order p has as many stages as Butcher's barriers say at least, every other method one
evaluation in each step: N is at most the number of evaluations over that. Estimates are no bounds; but those in use are
of the lower of two orders, and so larger than the error that they stand for. SAFETY is what is granted beyond that.

Derivatives: the adjoint is carried back by the same matrices, and adds an error of κ N √n (atol + rtol max|∂L/∂z|).
An error of the state at s is that of another start, and moves ∂L/∂z by the columns of the Hessian that belong to y0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]
from odecheck_reference import Problem, gradient, hessian, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flow import FlowError, trajectories
from odecheck_reference.looked import kept

from odecheck.errors import NotApplicable
from odecheck.refinement import GRANTED as SAFETY
from odecheck.refinement import Rung
from odecheck.solvers import Toleranced

from .tolerances import lands, ratio_of

__all__ = ["SAFETY", "amplification", "of_derivatives", "of_states", "stages_of", "steps_of"]
_integrate: Any = scipy.integrate
# Butcher's barriers: order → the least number of stages of an explicit Runge-Kutta method
STAGES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 7, 7: 9, 8: 11}
# implicit or multistep: one evaluation in each step is all that is certain
NOT_EXPLICIT = ("Radau", "BDF", "LSODA", "kvaerno5", "adams")
# What is granted besides where outputs are interpolated, by method; nothing for the others, whose outputs keep the
# promise. Dopri8's have been 15,000 times the promise, those of fehlberg2 85 times: of these landed ones are held.
INTERPOLATED = {"dopri8": np.inf, "fehlberg2": np.inf}
# unknowns beyond which second derivatives cost more than the verdict
HESSIAN = 60
# numbers of a field's first derivatives, of all rows, beyond which no transition matrix is followed: 400 MB
LARGEST = 5 * 10**7


@kept(64)
def amplification(problem: Problem) -> float:
    """κ: the largest ‖Φ(t, s)‖₂ over s ≤ t, both out of 21 equidistant times, and over the rows of the batch.

    The matrix of each piece is followed from its own start, to a relative 1e-6, and larger ones are products of these:
    one that contracts to nothing has no inverse. Integrations end where those of the reference's solution do. Infinite,
    nothing being promised then, where a field's first derivatives would be more than LARGEST numbers.
    """
    rows, d = problem.y0.shape
    if rows * d * (1 + d + problem.field.params) > LARGEST:
        return np.inf
    size = max(float(np.max(np.abs(solution(problem).value))), 1e-300)
    edges = np.linspace(problem.ts[0], problem.ts[-1], 21)
    inside = _ends(problem)
    y, pieces, unit = problem.y0, list[Array](), np.tile(np.eye(d), (rows, 1, 1))
    for a, b in pairwise(edges.tolist()):
        across = unit
        stops = [a, *(t for t in inside if min(a, b) < t < max(a, b)), b]
        for lo, hi in pairwise(stops):
            y, more = _carried(problem, lo, hi, y, size)
            across = more @ across
        pieces.append(across)
    largest = 1.0
    for j in range(len(pieces)):
        across = unit
        for piece in pieces[j:]:
            across = piece @ across
            largest = max(largest, float(np.max(np.linalg.norm(across, 2, axis=(1, 2)))))
    return largest


def _ends(problem: Problem) -> list[float]:
    """Where the reference's integrations end, in the order of the way."""
    mesh = trajectories(problem, 0)[0].mesh
    cuts = [] if mesh is None else mesh.cuts
    at = [
        a + x * (b - a) for (a, b), segment in zip(pairwise(problem.ts.tolist()), cuts, strict=False) for x in segment
    ]
    return sorted(at, reverse=bool(problem.ts[-1] < problem.ts[0]))


def _carried(problem: Problem, start: float, end: float, y: Array, size: float) -> tuple[Array, Array]:
    """The state at the end and Φ(end, start), (batch, state) and (batch, state, state); size: of the states."""
    n, d = y.size, y.shape[1]
    unit = np.tile(np.eye(d), (len(y), 1, 1))

    def rate(t: float, w: Array) -> Array:
        jet = problem.field.jet(t, w[:n].reshape(y.shape), problem.theta, 1)
        assert jet.first is not None
        return np.concatenate([jet.value.ravel(), (jet.first[..., 1 : 1 + d] @ w[n:].reshape(unit.shape)).ravel()])

    w = np.concatenate([y.ravel(), unit.ravel()])
    atol = np.concatenate([np.full(n, 1e-8 * size), np.full(unit.size, 1e-8)])
    found = _integrate.solve_ivp(rate, (start, end), w, method="LSODA", rtol=1e-6, atol=atol)
    if not found.success:
        raise FlowError(f"{problem.name}: the transition matrix cannot be followed: {found.message}")
    return found.y[:n, -1].reshape(y.shape), found.y[n:, -1].reshape(unit.shape)


def stages_of(solver: Toleranced) -> int:
    """The least number of evaluations in one step. Of a solver that names no method one is all that is certain."""
    return 1 if getattr(solver, "method", "") in ("", *NOT_EXPLICIT) else STAGES[solver.order]


def steps_of(solver: Toleranced, evaluations: int) -> float:
    """How many steps there were at most. Raises NotApplicable where evaluations are not counted."""
    if evaluations == 0:
        raise NotApplicable("the evaluations of the field are not counted here")
    return evaluations / stages_of(solver)


def of_states(solver: Toleranced, problem: Problem, tolerance: float) -> float:
    """κ w: what one step at this rtol may add to the root mean square error of a solution."""
    size = float(np.max(np.abs(solution(problem).value)))
    return amplification(problem) * tolerance * (ratio_of(solver) + size)


def of_derivatives(solver: Toleranced, problem: Problem, tolerance: float) -> float:
    """κ (w_g + ‖H‖₂ w): what one step at this rtol may add to that of dL/dy0 and dL/dtheta."""
    exact = gradient(problem)
    size = max(float(np.max(np.abs(exact.y0.value))), float(np.max(np.abs(exact.theta.value), initial=0.0)))
    slope = float(np.linalg.norm(hessian(problem).value[:, : problem.y0.size], 2))
    own = amplification(problem) * tolerance * (ratio_of(solver) + size)
    return own + slope * of_states(solver, problem, tolerance)


def _granted(rung: Rung) -> float:
    return 1.0 if lands(rung.subject) else INTERPOLATED.get(getattr(rung.subject.solver, "method", ""), 1.0)


def speeds(problem: Problem) -> tuple[float, float]:
    """What errors count by in dL/dt: the largest ‖F‖₂, and κ w's weight ‖Φ_y‖₂ ‖F_y‖₂ at unit tolerance.

    Args:
        problem: Looked at in the states of the reference.

    Returns:
        The largest rate of all rows together; and of_states at a tolerance of one, times slope and Lipschitz constant.
    """
    states, d = solution(problem).value, problem.field.state
    jets = [problem.field.jet(float(t), y, problem.theta, 1) for t, y in zip(problem.ts, states, strict=True)]
    speed = max(float(np.linalg.norm(jet.value)) for jet in jets)
    steep = max(
        float(np.max(np.linalg.norm(jet.first[..., 1 : 1 + d], 2, axis=(1, 2))))
        for jet in jets
        if jet.first is not None
    )
    slope = float(np.max(np.linalg.norm(problem.loss.gradient(states).reshape(len(states), -1), axis=1)))
    size = float(np.max(np.abs(states)))
    return speed, amplification(problem) * (1.0 + size) * slope * steep


def states_at(rung: Rung, problem: Problem) -> float:
    """The largest error of an observed state that a rung's tolerance allows; infinite where it promises nothing.

    Args:
        rung: Of a refinement whose subject solved the problem.
        problem: Its problem.

    Returns:
        SAFETY κ N √n w, and more where outputs lie between steps.
    """
    solver = rung.subject.solver
    if not isinstance(solver, Toleranced) or not rung.nfe:
        return np.inf
    unit = of_states(solver, problem, solver.rtol) * steps_of(solver, rung.nfe) * np.sqrt(problem.y0.size)
    return SAFETY * float(unit) * _granted(rung)


def gradient_at(rung: Rung, problem: Problem) -> float:
    """The largest error of dL/dy0 and dL/dtheta that a rung's tolerance allows; infinite where it promises nothing.

    Args:
        rung: Of a refinement whose subject has the gradient of the problem's loss.
        problem: Its problem, of at most HESSIAN unknowns: beyond, the second derivatives would cost too much.

    Returns:
        SAFETY κ N √n (w_g + ‖H‖₂ w), and more where outputs lie between steps.
    """
    solver = rung.subject.solver
    size = problem.y0.size + problem.theta.size
    if not isinstance(solver, Toleranced) or not rung.nfe or size > HESSIAN:
        return np.inf
    unit = of_derivatives(solver, problem, solver.rtol) * steps_of(solver, rung.nfe) * np.sqrt(size)
    return SAFETY * float(unit) * _granted(rung)
