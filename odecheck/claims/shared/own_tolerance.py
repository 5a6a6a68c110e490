"""How far off a solve and its gradient are at the user's own tolerance, and whether this is what it promises (OWN-*).

Other claims ask for the limit of small steps; these ask about the very solve. Observed is the error, relative to the
largest component of the truth; expected is zero, with the promise of `promises` times SAFETY as the bar. A promise of
more than one half of the truth says nothing: the verdict is inconclusive.
"""

from __future__ import annotations

import numpy as np
from odecheck_reference import Bounded, Problem, gradient, solution
from odecheck_reference.bounded import Array

from odecheck.claim import claim, family
from odecheck.errors import NotApplicable
from odecheck.instruments.metering import charge, metered
from odecheck.mutants import derivatives as wrong
from odecheck.refinement import Rung
from odecheck.subject import Subject

from .promises import gradient_at, of_derivatives, speeds, states_at
from .tolerances import adaptive_of

OWN = family("OWN", title="One's own tolerance", order=15)
SOURCE = "Lady Windermere's fan: Hairer, Nørsett & Wanner I, sections II.3 and II.4; Butcher 1965 on stages"


def _off(got: Array, truth: Bounded, promised: float) -> tuple[Bounded, Bounded]:
    """The largest error relative to the largest component, and zero up to what is promised."""
    size = float(np.max(np.abs(truth.value), initial=0.0))
    if not size:
        raise NotApplicable("what is right is zero: nothing to be relative to")
    if np.isinf(promised):
        raise NotApplicable(
            "no promise is known: outputs between the steps of this method exceed it (land=True), or the problem has "
            "too many unknowns for second derivatives"
        )
    error = float(np.max(np.abs(got - truth.value)))
    known = float(np.max(truth.radius))
    return Bounded(error / size, {"reference": known / size}), Bounded(0.0, {"promised": promised / size})


def _rung(subject: Subject, problem: Problem) -> tuple[Rung, Subject]:
    """The subject as it is, as a rung, with the evaluations of its gradient."""
    adaptive_of(subject)
    with metered() as cost:
        subject.gradient(problem)
    charge(cost)
    return Rung(subject, np.zeros(1), cost.nfe, cost.size), subject


@claim("OWN-1", source=SOURCE, resolution=0.5, scale=1.0, mutants=[wrong.ERRATIC[1], wrong.WRONG_INTERVAL])
def own_solution(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """How far off the solution is at the tolerance asked for, and that it is what this tolerance promises."""
    adaptive_of(subject)
    with metered() as cost:
        got = subject.solution(problem)
    charge(cost)
    return _off(got, solution(problem), states_at(Rung(subject, got, cost.nfe, cost.size), problem))


@claim("OWN-2", source=SOURCE, resolution=0.5, scale=1.0, mutants=[wrong.ERRATIC[1], wrong.scaled("y0", 0.0)])
def own_gradient_in_start(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """How far off dL/dy0 is at the tolerance asked for, and that it is what this tolerance promises."""
    rung, _ = _rung(subject, problem)
    return _off(subject.gradient(problem).y0, gradient(problem).y0, gradient_at(rung, problem))


@claim("OWN-3", source=SOURCE, resolution=0.5, scale=1.0, mutants=[wrong.ERRATIC[1], wrong.scaled("theta", 1.2)])
def own_gradient_in_parameters(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """How far off dL/dtheta is at the tolerance asked for, and that it is what this tolerance promises."""
    if problem.field.params == 0:
        raise NotApplicable("the field has no parameters")
    rung, _ = _rung(subject, problem)
    return _off(subject.gradient(problem).theta, gradient(problem).theta, gradient_at(rung, problem))


@claim("OWN-4", source=SOURCE, resolution=0.5, scale=1.0, mutants=[wrong.ERRATIC[1], wrong.FORGOTTEN_END_TIME])
def own_gradient_in_times(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """How far off dL/dt is at the tolerance asked for, and that it is what this tolerance promises.

    dL/dt_i is made of slopes of the loss and rates: an error of the adjoint counts by the largest rate ‖F‖₂, one of
    the state by the largest slope ‖Φ_y‖₂ times ‖F_y‖₂.
    """
    solver = adaptive_of(subject)
    rung, _ = _rung(subject, problem)
    promised = gradient_at(rung, problem)
    if np.isfinite(promised):  # else there may be too many unknowns for what is asked next
        speed, pull = speeds(problem)
        promised *= speed + pull / max(of_derivatives(solver, problem, 1.0), 1e-300)
    return _off(subject.gradient(problem).ts, gradient(problem).ts, promised)


CLAIMS = (own_solution, own_gradient_in_start, own_gradient_in_parameters, own_gradient_in_times)
"""What `odecheck verify --rtol` asks besides."""
