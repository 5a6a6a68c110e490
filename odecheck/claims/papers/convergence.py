"""How the error of any solver follows its step, or its tolerance: order and proportion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept

from odecheck.claim import claim
from odecheck.claims.shared.line import slope
from odecheck.claims.shared.tolerances import ROOT_TOLERANCE, TOLERANCES, adaptive_of, lands, ratio_of
from odecheck.errors import NotApplicable
from odecheck.instruments.metering import charge, metered
from odecheck.mutants import derivatives as wrong
from odecheck.mutants.steps import OTHER_FLOW
from odecheck.solvers import Solver, Stepped
from odecheck.subject import Subject

from .solution import EPS, silent

# the nine tolerances span two decades at least
DECADES = 100.0
# of SOL-5: half of what a method of order three loses with one order, and the defect that is asked for
BAND, RESOLUTION = 1 / 6, 0.6


def _lipschitz(problem: Problem) -> float:
    """The largest ‖F_y‖₂ at the observed states: the scale on which steps are large or small."""
    states = solution(problem).value
    jets = [problem.field.jet(t, y, problem.theta, 1) for t, y in zip(problem.ts, states, strict=True)]
    d = problem.field.state
    return max(
        float(np.max(np.linalg.norm(j.first[..., 1 : 1 + d], 2, axis=(1, 2)))) for j in jets if j.first is not None
    )


def cells_of(problem: Problem) -> int:
    """How many steps a fixed-step method begins with: four to each of the field's own time scales, eight at least.

    Raises NotApplicable for more than 400: the finest of four grids would cost too much.
    """
    length = abs(problem.ts[-1] - problem.ts[0])
    cells = max(8, int(np.ceil(4 * length * _lipschitz(problem))))
    cells += cells % 3 == 0  # then L/3 lies at 1/3 or 2/3 of its cell at every level, where an interpolant errs alike
    if cells > 400:
        raise NotApplicable(f"steps would have to be shorter than 1/400 of the interval ({cells})")
    return cells


def observed_order(
    subject: Subject, problem: Problem, where: float, stated: int, remainder: float = 0.0
) -> tuple[Bounded, Bounded]:
    """Observed order of a fixed-step method at t0 + where · (T − t0), from four step sizes, each about half the last.

    remainder: the interval is so many steps longer than a whole number of them. A solver whose step cannot be chosen is
    asked at its own step and three refinements, at the end alone.
    """
    solver = subject.solver
    if solver.stepping != "fixed":
        raise NotApplicable("an adaptive solver has no order in its step; see SOL-5")
    start, end = problem.ts[0], problem.ts[-1]
    if not isinstance(solver, Stepped):
        if where != 1.0 or remainder:
            raise NotApplicable("the solver's step cannot be chosen: it has no `step` and `with_step`")
        return _order_of_refinements(subject, problem, stated)
    cells = cells_of(problem)
    times = np.unique([start, start + where * (end - start), end])
    times = times if end > start else times[::-1]
    asked = problem.with_(ts=times, loss=silent(problem, len(times)))
    truth = solution(asked)
    at = int(np.argmin(np.abs(times - (start + where * (end - start)))))
    while True:
        steps = [abs(end - start) / (cells * 2**j + remainder) for j in range(4)]
        errors = np.array([_error(subject, solver.with_step(h), asked, truth.value, at) for h in steps])
        if cells < 4 or not _too_small(errors, at_time(truth, at)):
            return slope_of(np.array(steps), errors, at_time(truth, at), stated)
        cells //= 2  # longer steps make errors that can be told from the reference's
        cells += cells % 3 == 0


def _order_of_refinements(subject: Subject, problem: Problem, stated: int) -> tuple[Bounded, Bounded]:
    """The order that the solver itself and three refinements show at the last time."""
    asked = problem.with_(ts=problem.ts[[0, -1]], loss=silent(problem, 2))
    truth = solution(asked)
    rungs = [subject.solver]
    while len(rungs) < 4:
        rungs.append(rungs[-1].refined())
    errors = np.array([_error(subject, rung, asked, truth.value, -1) for rung in rungs])
    return slope_of(np.array([1.0, 0.5, 0.25, 0.125]), errors, at_time(truth, -1), stated)


def at_time(truth: Bounded, at: int) -> Bounded:
    """One of the observed times of a solution."""
    return Bounded(truth.value[at], {name: term[at] for name, term in truth.budget.items()})


def _too_small(errors: Array, truth: Bounded) -> bool:
    """Whether some of the errors are as small as the reference's own: then nothing is seen of an order."""
    known = float(np.max(truth.radius)) + EPS * float(np.max(np.abs(truth.value)))
    return bool(np.isfinite(errors).all() and (errors < 100 * known).any())


def slope_of(steps: Array, errors: Array, truth: Bounded, stated: int) -> tuple[Bounded, Bounded]:
    """The order that the errors of four steps show, each about half the last.

    With E = c hᵖ (1 + O(h)) the slopes log(E_j / E_{j+1}) / log(h_j / h_{j+1}) approach p geometrically with ratio ½
    and the last one is off by |s3 − s2|; three times that, or 1.5 times the distance before it, is the bar. A slope
    above the stated order is no defect and counts as the stated order; below zero means divergence, counted as zero.
    """
    if _too_small(errors, truth):
        return Bounded(float(stated), {"errors at the level of the reference": np.inf}), Bounded(float(stated))
    with np.errstate(all="ignore"):
        raw = np.nan_to_num(
            np.log(errors[:-1] / errors[1:]) / np.log(steps[:-1] / steps[1:]), nan=0.0, neginf=0.0, posinf=0.0
        )
    slopes = np.clip(raw, 0.0, stated)
    spread = 3 * max(abs(slopes[2] - slopes[1]), abs(slopes[1] - slopes[0]) / 2)
    return Bounded(slopes[-1], {"not yet asymptotic": spread}), Bounded(float(stated), {"band": 0.1})


def _error(subject: Subject, solver: Solver, problem: Problem, truth: Array, at: int) -> float:
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(replace(subject, solver=solver).solution(problem)[at] - truth[at]))


@claim(
    "SOL-3",
    source="the order that the solver states",
    of_libraries=True,
    resolution=0.6,
    scale=1.0,
    mutants=[wrong.LOWER_ORDER, OTHER_FLOW],
)
def order_at_step_ends(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A fixed-step method converges at step ends with its stated order, within 0.1."""
    return observed_order(subject, problem, 1.0, subject.solver.order)


@claim(
    "SOL-4",
    source="the order that the solver states, or that of its interpolant",
    of_libraries=True,
    resolution=0.6,
    scale=1.0,
    mutants=[wrong.LOWER_ORDER, OTHER_FLOW],
)
def order_between_step_ends(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A fixed-step method converges between step ends with the order of its steps or of its interpolant, within 0.1."""
    stated = getattr(subject.solver, "dense_order", None)
    if stated is None and subject.solver.stepping == "fixed":
        raise NotApplicable("the solver states no order between the ends of its steps: it has no `dense_order`")
    return observed_order(subject, problem, 1 / 3, stated or 0)


@kept(64)
def seen_evenly(problem: Problem, outputs: int) -> Problem:
    """The problem at equidistant times. One object, so that what a subject solved of it is kept for other claims."""
    times = np.asarray(np.linspace(float(problem.ts[0]), float(problem.ts[-1]), 1 + outputs), dtype=np.float64)
    return problem.with_(ts=times, loss=silent(problem, 1 + outputs), running=None)


def _errors_at(
    subject: Subject, asked: Problem, truth: Array, loose: float, tight: float, count: int = 9
) -> tuple[Array, ...]:
    """Some tolerances between two, the root mean square error at each, and the evaluations that each took."""
    solver = adaptive_of(subject)
    tolerances = np.geomspace(loose, tight, count)
    errors, evaluations = np.zeros(count), np.zeros(count)
    for i, tolerance in enumerate(tolerances):
        at = solver.with_tolerance(float(tolerance), float(ratio_of(solver) * tolerance))
        with metered() as cost:
            errors[i] = np.sqrt(np.mean((replace(subject, solver=at).solution(asked) - truth)[1:] ** 2))
        charge(cost)
        evaluations[i] = cost.nfe
    return tolerances, errors, evaluations


def _slope(tolerances: Array, errors: Array) -> Bounded:
    """The slope over the tighter half of the tolerances, at most 1: half the points and the middle one."""
    x, y, half = np.log(tolerances), np.log(errors), len(errors) // 2
    _, noise = slope(x, y)
    (coarse, _), (fine, _) = (slope(x[part], y[part]) for part in (slice(half + 1), slice(half, None)))
    return Bounded(min(fine, 1.0), {"fit": noise, "not yet asymptotic": abs(fine - coarse)})


@claim(
    "SOL-5",
    source="error per step control with local extrapolation: Hairer, Nørsett & Wanner I, section II.4",
    of_libraries=True,
    resolution=RESOLUTION,
    scale=1.0,
    mutants=[ROOT_TOLERANCE, OTHER_FLOW],
)
def error_follows_tolerance(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The error of an adaptive solver at its outputs falls in proportion to its tolerance, over nine tolerances.

    E(tolerance), the root mean square over twenty equidistant outputs (or the last, where steps land on outputs), is a
    power of the tolerance, in the limit the first. Of a method of order p that is one order short somewhere it is the
    power 1 − 1/p. The observed value is the slope over the tighter five tolerances; nothing is said where
    something else than the tolerance chooses the steps. Its bar: what the slope over the looser five differs from it
    (not yet asymptotic), and 3.5 standard errors of the fit (99 % for nine points). The band around 1 is 1/6, half of
    what a method of order three loses with one order; a slope above 1 is no defect and counts as 1. Errors that scatter
    too much for nine points to say it are asked at seventeen, eight of them between these.
    Where the error at the tightest tolerance cannot be told from the reference's, that tolerance is loosened until it
    can, for as long as two decades are left.
    """
    solver = adaptive_of(subject)
    outputs = 1 if lands(subject) else 20  # a solver that lands on its outputs would take its steps from them
    asked = seen_evenly(problem, outputs)
    truth = solution(asked)
    known = float(np.max(truth.radius)) + 1e3 * EPS * float(np.max(np.abs(truth.value)))
    loose, tight = TOLERANCES[solver.order]
    tolerances, errors, evaluations = _errors_at(subject, asked, truth.value, loose, tight)
    # errors too small to be told from the reference's: the tightest tolerance is a looser one; a truth that is zero,
    # exactly, tells all of them
    for _ in range(2 if known else 0):
        short = 10 * known / max(float(np.min(errors)), known / 1e3)
        if not short >= 1 or 2 * short * tight > loose / DECADES:
            break
        tight *= 2 * short
        tolerances, errors, evaluations = _errors_at(subject, asked, truth.value, loose, tight)
    if np.count_nonzero(np.diff(evaluations) > 0) < 4:  # most tolerances take the very steps of the one before
        return Bounded(1.0, {"steps that the tolerance does not choose": np.inf}), Bounded(1.0)
    if not float(np.min(errors)) > 10 * known:
        return Bounded(1.0, {"errors at the level of the reference": np.inf}), Bounded(1.0)
    found = _slope(tolerances, errors)
    if float(found.radius) + BAND + 1.0 - float(found.value) > RESOLUTION:
        found = _slope(*_errors_at(subject, asked, truth.value, loose, tight, 17)[:2])
    return found, Bounded(1.0, {"half an order": BAND})
