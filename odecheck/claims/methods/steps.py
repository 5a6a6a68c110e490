"""The very steps of a solver: derivatives of them, orders of forced steps and of a gradient (STEP-1 to STEP-4).

All other claims speak of the flow, which the steps approach: a derivative of other steps than those that were taken has
the same limit. An adaptive method is asked on steps of a given length, its formula without its choice of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from odecheck_reference import Bounded, Problem, gradient, solution
from odecheck_reference.bounded import Array

from odecheck.claim import claim
from odecheck.claims.libraries.derivatives import joined, seen
from odecheck.claims.papers.convergence import at_time, cells_of, slope_of
from odecheck.claims.papers.solution import silent
from odecheck.claims.shared.forced import forced
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import steps as broken
from odecheck.solvers import FixedStep
from odecheck.subject import Subject

EPS = float(np.finfo(np.float64).eps)
LAYERS, SUMMED = 3, 16  # products and terms of a call of the fields that STEP-1 is asked about, at most
DIRECTIONS, HALVINGS, LONGEST = 4, 6, 2.0**-4
LENGTHS = 7


def _of_steps(subject: Subject) -> None:
    if subject.engine.target != "steps":
        raise NotApplicable(f"{subject.engine.name} differentiates the flow, and not the steps")


@claim(
    "STEP-1",
    source="the chain rule, step by step",
    resolution=1e-8,
    mutants=[wrong.scaled("y0", 1 + 1e-6), wrong.scaled("theta", 1 + 1e-6), wrong.TRANSPOSED_JACOBIAN],
)
def derivatives_of_the_very_steps(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta of fixed steps are those of backpropagation through the same steps, to round-off.

    That is an eps for each product in the chain, of which there are LAYERS in each of four stages of every step; a sum
    in it is over at most SUMMED terms. Asked of methods that torchdiffeq has, whose steps are those to compare with.
    """
    _of_steps(subject)
    if not isinstance(subject.solver, FixedStep):
        raise NotApplicable("no fixed steps of a method that torchdiffeq has; see STEP-2")
    mine, theirs = (s.gradient(problem) for s in (subject, replace(subject, engine=Backprop(), around=())))
    observed = np.concatenate([mine.y0.ravel(), mine.theta])
    expected = np.concatenate([theirs.y0.ravel(), theirs.theta])
    steps = np.ceil(abs(problem.ts[-1] - problem.ts[0]) / subject.solver.step) + len(problem.ts)
    bar = 4 * steps * LAYERS * SUMMED * EPS * float(np.max(np.abs(expected)))
    return Bounded(observed), Bounded(expected, {"round-off": np.full(len(expected), bar)})


def _given_steps(subject: Subject, problem: Problem) -> Subject:
    """The subject on steps that nothing changes: its own where they are fixed, otherwise a forced number of them."""
    if subject.solver.stepping == "fixed":
        return subject
    return replace(subject, solver=forced(subject.solver, abs(problem.ts[-1] - problem.ts[0]) / 8))


def _slope(values: dict[float, float]) -> tuple[float, float]:
    """The slope at zero of what is known at ± h, by extrapolated central differences, and its bar.

    Of all entries of the table the one that differs least from those that it is made of; its bar is ten times that
    difference, with the round-off of the shortest step.
    """
    steps = sorted({abs(h) for h in values}, reverse=True)
    size = max(abs(value) for value in values.values())
    rows = [[(values[h] - values[-h]) / (2 * h)] for h in steps]
    best = (rows[0][0], np.inf)
    for k in range(1, len(rows)):
        for j in range(1, k + 1):
            finer, coarser = rows[k][j - 1], rows[k - 1][j - 1]
            rows[k].append(finer + (finer - coarser) / (4.0**j - 1))
            changed = max(abs(rows[k][j] - finer), abs(rows[k][j] - coarser))
            bar = 10 * changed + 1e2 * EPS * size / steps[k]
            best = min(best, (rows[k][j], bar), key=lambda found: found[1])
    return best


@claim(
    "STEP-2",
    source="definition of a derivative",
    resolution=1e-5,
    mutants=[
        wrong.scaled("y0", 1 + 1e-4),
        wrong.scaled("theta", 1 + 1e-4),
        wrong.TRANSPOSED_JACOBIAN,
        broken.OF_FINER_STEPS,
    ],
)
def derivatives_are_differences_of_the_steps(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The derivative of the steps in random directions of (y0, theta) is that of differences of the same steps.

    Directions are in proportion to the sizes of the numbers. Any fixed-step method, implicit ones too, with the
    subject's own solutions alone: no formula is known but the subject's. An adaptive method is asked on eight forced
    steps.
    """
    _of_steps(subject)
    if problem.running is not None:
        raise NotApplicable("the loss has an integral term")
    at = _given_steps(subject, problem)
    got = at.gradient(problem)
    rng = np.random.default_rng(0)
    observed, expected, bars = np.zeros(DIRECTIONS), np.zeros(DIRECTIONS), np.zeros(DIRECTIONS)
    for i in range(DIRECTIONS):
        of_y, of_theta = (rng.standard_normal(x.shape) * _sizes(x) for x in (problem.y0, problem.theta))
        observed[i] = np.sum(of_y * got.y0) + of_theta @ got.theta
        values = {
            h: float(problem.loss.value(at.solution(_moved(problem, h * of_y, h * of_theta))))
            for h in (sign * LONGEST / 2**k for k in range(HALVINGS) for sign in (1, -1))
        }
        expected[i], bars[i] = _slope(values)
    return Bounded(observed), Bounded(expected, {"differences": bars})


def _sizes(x: Array) -> Array:
    """How far each number may be moved: as far as it is large, or a tenth of the largest; one where all are zero."""
    largest = float(np.max(np.abs(x), initial=0.0))
    return np.maximum(np.abs(x), 0.1 * largest) if largest else np.ones_like(x)


def _moved(problem: Problem, of_y: Array, of_theta: Array) -> Problem:
    return problem.with_(y0=problem.y0 + of_y, theta=problem.theta + of_theta)


def _order(
    subject: Subject, problem: Problem, truth: Bounded, observe: Callable[[Subject], Array]
) -> tuple[Bounded, Bounded]:
    """The order that errors show at lengths of steps that are each half of the one before, and the stated one.

    They begin at an eighth of the number that `cells_of` says, and end at eight times it, or before an error is of the
    size of the reference's own: methods of high order have few such lengths. The last four count.
    """
    length = float(abs(problem.ts[-1] - problem.ts[0]))
    known = float(np.max(truth.radius)) + EPS * float(np.max(np.abs(truth.value)))
    steps: list[float] = []
    errors: list[float] = []
    for j in range(LENGTHS):
        step = length / (max(1, cells_of(problem) // 8) * 2**j)
        with np.errstate(all="ignore"):
            error = float(np.linalg.norm(observe(replace(subject, solver=forced(subject.solver, step))) - truth.value))
        if len(errors) >= 4 and error < 300 * known:
            break
        steps.append(step)
        errors.append(error)
    return slope_of(np.array(steps[-4:]), np.array(errors[-4:]), truth, subject.solver.order)


@claim(
    "STEP-3",
    source="the order that the solver states: an adjoint solve, and a derivative of the steps, are of the same",
    resolution=0.6,
    scale=1.0,
    mutants=[broken.FIRST_ORDER_ERROR, broken.OF_LOWER_ORDER],
)
def order_of_the_gradient(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta converge with the stated order of the method, within 0.1.

    The last state alone is observed. An adaptive method is asked on forced steps.
    """
    asked = seen(problem, problem.ts[[0, -1]], [1], "at its end")
    exact = gradient(asked)
    truth = joined([exact.y0, exact.theta])

    def observe(s: Subject) -> Array:
        got = s.gradient(asked)
        return np.r_[got.y0.ravel(), got.theta]

    return _order(subject, problem, truth, observe)


@claim(
    "STEP-4",
    source="the order that the solver states",
    resolution=0.6,
    scale=1.0,
    mutants=[broken.LOWER_FORMULA, broken.OTHER_FLOW],
)
def order_of_forced_steps(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The formula of an adaptive method has the order that it states, within 0.1, on steps of given lengths.

    Its error follows a tolerance whatever its order is; only the number of steps tells. Of fixed steps SOL-3 asks.
    """
    if subject.solver.stepping == "fixed":
        raise NotApplicable("a fixed-step method: see SOL-3")
    asked = problem.with_(ts=problem.ts[[0, -1]], loss=silent(problem, 2), running=None)
    truth = solution(asked)
    return _order(subject, problem, at_time(truth, -1), lambda s: s.solution(asked)[-1])
