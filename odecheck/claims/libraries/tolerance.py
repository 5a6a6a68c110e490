"""What a tolerance promises: errors, of a solution and of its derivatives, in units of it (claims SOL-18 and DER-17).

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

from dataclasses import replace
from functools import lru_cache

import numpy as np
from odecheck_reference import Bounded, Problem, gradient, hessian, solution, transition
from odecheck_reference.bounded import Array

from odecheck.claim import claim
from odecheck.claims.papers.solution import seen_evenly, silent
from odecheck.claims.shared.tolerances import ROOT_TOLERANCE, TOLERANCES, adaptive_of, lands, ratio_of
from odecheck.errors import NotApplicable
from odecheck.instruments.metering import charge, metered
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import libraries as broken
from odecheck.solvers import Toleranced
from odecheck.subject import Subject

from .derivatives import all_seen

SAFETY = 10.0
# Butcher's barriers: order → the least number of stages of an explicit Runge-Kutta method
STAGES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 7, 7: 9, 8: 11}
# implicit or multistep: one evaluation in each step is all that is certain
NOT_EXPLICIT = ("Radau", "BDF", "LSODA", "kvaerno5", "adams")
SOURCE = "Lady Windermere's fan: Hairer, Nørsett & Wanner I, sections II.3 and II.4; Butcher 1965 on stages"


@lru_cache(maxsize=64)
def amplification(problem: Problem) -> float:
    """κ: the largest ‖Φ(t, s)‖₂ over s ≤ t, both out of 21 equidistant times, and over the rows of the batch."""
    times = np.linspace(problem.ts[0], problem.ts[-1], 21)
    matrices = transition(problem.with_(ts=times, loss=silent(problem, 21), running=None)).value
    rows = np.moveaxis(matrices, 1, 0)
    return max(
        float(np.linalg.norm(row[i] @ np.linalg.inv(row[j]), 2))
        for row in rows
        for j in range(21)
        for i in range(j, 21)
    )


def stages_of(solver: Toleranced) -> int:
    """The least number of evaluations in one step. Of a solver that names no method one is all that is certain."""
    return 1 if getattr(solver, "method", "") in ("", *NOT_EXPLICIT) else STAGES[solver.order]


def _steps(solver: Toleranced, evaluations: int) -> float:
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


def asked_of(subject: Subject, problem: Problem) -> Problem:
    """The problem at twenty equidistant outputs, or at the last alone where the steps end on outputs."""
    return seen_evenly(problem, 1 if lands(subject) else 20)


def _promised(ratios: list[float], reference: list[float]) -> tuple[Bounded, Bounded]:
    """Errors over what their tolerances promised, at least 1; up to SAFETY is right."""
    return (
        Bounded(np.maximum(ratios, 1.0), {"reference": np.array(reference)}),
        Bounded(np.ones(len(ratios)), {"safety": SAFETY - 1.0}),
    )


@claim(
    "SOL-18",
    source=SOURCE,
    resolution=SAFETY + 10.0,
    scale=1.0,
    mutants=[ROOT_TOLERANCE, broken.OUTPUTS_ON_CHORDS, wrong.WRONG_INTERVAL],
)
def error_within_tolerance(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The error of an adaptive solver at its outputs is what its tolerance promises, at each of nine tolerances.

    Observed is, for each tolerance, the largest |y_observed − y| / (κ N √n w) over twenty equidistant outputs (or the
    last, where steps land on outputs), or 1 where that is smaller. Ten times the promise is still granted.
    """
    solver = adaptive_of(subject)
    asked = asked_of(subject, problem)
    truth = solution(asked)
    times = len(asked.ts)
    ratios: list[float] = []
    known: list[float] = []
    for tolerance in np.geomspace(*TOLERANCES[solver.order], 9):
        at = solver.with_tolerance(float(tolerance), float(ratio_of(solver) * tolerance))
        rung = replace(subject, solver=at)
        with metered() as cost:
            off = (rung.solution(asked) - truth.value).reshape(times, -1)
        charge(cost)
        unit = of_states(solver, asked, tolerance) * _steps(solver, cost.nfe) * np.sqrt(problem.y0.size)
        ratios.append(float(np.max(np.linalg.norm(off, axis=1))) / unit)
        known.append(float(np.max(np.linalg.norm(truth.radius.reshape(times, -1), axis=1))) / unit)
    return _promised(ratios, known)


@claim(
    "DER-17",
    source=SOURCE,
    resolution=SAFETY + 10.0,
    scale=1.0,
    mutants=[broken.BLIND_STEPS, wrong.scaled("theta", 1.02), wrong.scaled("y0", 0.0)],
)
def derivatives_within_tolerance(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The error of dL/dy0 and dL/dtheta is what an adaptive solver's tolerance promises, at each of three tolerances.

    Those of the solver and of two refinements. Observed is, for each, the error over κ N √n (w_g + ‖H‖₂ w), with w_g
    that of the derivatives, w that of the states and H the columns of the Hessian that belong to y0, or 1 where that is
    smaller. N counts the steps forwards and backwards. Ten times the promise is still granted.
    """
    solver = adaptive_of(subject)
    (part,) = all_seen(problem)
    exact = gradient(part)
    truth = np.r_[exact.y0.value.ravel(), exact.theta.value]
    radius = float(np.linalg.norm(np.r_[exact.y0.radius.ravel(), exact.theta.radius]))
    ratios: list[float] = []
    known: list[float] = []
    rung = subject
    for i in range(3):
        rung = rung.refined() if i else subject
        with metered() as cost:
            got = rung.gradient(part)
        charge(cost)
        off: Array = np.r_[got.y0.ravel(), got.theta] - truth
        unit = of_derivatives(solver, part, solver.rtol / 10**i) * _steps(solver, cost.nfe) * np.sqrt(len(truth))
        ratios.append(float(np.linalg.norm(off)) / unit)
        known.append(radius / unit)
    return _promised(ratios, known)
