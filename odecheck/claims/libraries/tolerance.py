"""What a tolerance promises: errors, of a solution and of its derivatives, in units of it (claims SOL-18 and DER-17).

The bound and its derivation are those of `odecheck.claims.shared.promises`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from odecheck_reference import Bounded, Problem, gradient, solution
from odecheck_reference.bounded import Array

from odecheck.claim import claim
from odecheck.claims.papers.convergence import seen_evenly
from odecheck.claims.shared.promises import SAFETY, of_derivatives, of_states, steps_of
from odecheck.claims.shared.tolerances import ROOT_TOLERANCE, TOLERANCES, adaptive_of, lands, ratio_of
from odecheck.instruments.metering import charge, metered
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import libraries as broken
from odecheck.subject import Subject

from .derivatives import all_seen

SOURCE = "Lady Windermere's fan: Hairer, Nørsett & Wanner I, sections II.3 and II.4; Butcher 1965 on stages"


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
        unit = of_states(solver, asked, tolerance) * steps_of(solver, cost.nfe) * np.sqrt(problem.y0.size)
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
        unit = of_derivatives(solver, part, solver.rtol / 10**i) * steps_of(solver, cost.nfe) * np.sqrt(len(truth))
        ratios.append(float(np.linalg.norm(off)) / unit)
        known.append(radius / unit)
    return _promised(ratios, known)
