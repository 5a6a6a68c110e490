"""What a solver promises on other grids, intervals and directions than the usual ones (claims SOL-10 to SOL-15)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Linear
from odecheck_reference.looked import kept

from odecheck.claim import claim
from odecheck.claims.papers.convergence import at_time, cells_of, observed_order, slope_of
from odecheck.claims.papers.solution import silent
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import libraries as broken
from odecheck.refinement import ladder
from odecheck.solvers import FixedStep, GivenSteps, Solver, Stepped
from odecheck.subject import Subject

REMAINDER = 0.37
UNEVEN = 0.35
DRAWS = 8


@claim(
    "SOL-10",
    source="the order that the solver states",
    resolution=0.6,
    scale=1.0,
    mutants=[broken.REMAINDER_DROPPED, broken.REMAINDER_STRETCHED, wrong.LOWER_ORDER],
)
def order_of_steps_that_do_not_divide(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A fixed-step method keeps its stated order, within 0.1, where its step does not divide the interval.

    The interval is 0.37 steps longer than a whole number of them: one step has to be cut.
    """
    return observed_order(subject, problem, 1.0, subject.solver.order, REMAINDER)


def uneven(problem: Problem, cells: int) -> Array:
    """Times whose distances are in turn 0.7 and 1.3 of their mean, over the problem's interval."""
    places = np.arange(cells + 1.0)
    places[1::2] -= 1 - 2 * UNEVEN
    return problem.ts[0] + (problem.ts[-1] - problem.ts[0]) * places / cells


@claim(
    "SOL-11",
    source="the order that the solver states",
    resolution=0.6,
    scale=1.0,
    mutants=[broken.EVEN_GRID, broken.LOWER_ORDER_GIVEN],
)
def order_on_uneven_grids(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A fixed-step method keeps its stated order, within 0.1, where its steps are in turn 0.7 and 1.3 of their mean.

    The steps are the times that are asked for.
    """
    solver = subject.solver
    if solver.stepping != "fixed":
        raise NotApplicable("an adaptive solver chooses its own grid")
    if not isinstance(solver, FixedStep):
        raise NotApplicable("the solver's steps cannot be given one by one: that is done by the name of a method")
    cells = cells_of(problem)
    cells += cells % 2
    truth = solution(_ended(problem))
    on_grid = replace(subject, solver=GivenSteps(solver.method, known=dict(solver.METHODS)))
    errors, steps = np.zeros(4), np.zeros(4)
    for j in range(4):
        times = uneven(problem, cells * 2**j)
        steps[j] = 1 / (cells * 2**j)
        asked = problem.with_(ts=times, loss=silent(problem, len(times)), running=None)
        with np.errstate(all="ignore"):
            errors[j] = np.linalg.norm(on_grid.solution(asked)[-1] - truth.value[-1])
    return slope_of(steps, errors, at_time(truth, -1), solver.order)


@kept(64)
def _ended(problem: Problem) -> Problem:
    return problem.with_(ts=problem.ts[[0, -1]], loss=silent(problem, 2), running=None)


def decay_of(problem: Problem) -> float:
    """The rate λ > 0 with ‖y(t)‖ ≤ e^{−λ (t − t0)} ‖y0‖: minus the logarithmic norm of A, y' = A y.

    Raises NotApplicable for another field, or one that does not contract.
    """
    field = problem.field
    if not isinstance(field, Linear) or problem.ts[-1] < problem.ts[0]:
        raise NotApplicable("speaks of y' = A y, forwards in time")
    d = field.state
    matrix = problem.theta[: d * d].reshape(d, d)
    rate = -float(np.max(np.linalg.eigvalsh((matrix + matrix.T) / 2)))
    if problem.theta[d * d :].any() or rate <= 0:
        raise NotApplicable("speaks of y' = A y where ‖y‖ falls: every eigenvalue of (A + Aᵀ) / 2 is negative")
    return rate


@kept(64)
def long_decay(problem: Problem) -> Problem:
    """The problem over ten of its own time scales, seen at ten times."""
    times = problem.ts[0] + 10 / decay_of(problem) * np.linspace(0, 1, 11)
    return problem.with_(ts=times, loss=silent(problem, 11), running=None)


@claim(
    "SOL-12",
    source="Dahlquist 1963: contractivity of a method inside its region of stability",
    resolution=1e-6,
    scale=1.0,
    mutants=[wrong.FLIPPED_FIELD, broken.GROWING_ERROR],
)
def decay_stays_bounded(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The solution of a linear equation that decays stays below its start, with the method as it comes.

    y' = A y with ‖y‖ falling, over ten time scales, with steps of a tenth and of a fortieth of 1/‖A‖, or at the
    tolerance that an adaptive solver has. Observed is by how much ‖y‖ exceeds ‖y0‖, relative to it.
    """
    asked = long_decay(problem)
    d = problem.field.state
    size = float(np.linalg.norm(problem.theta[: d * d].reshape(d, d), 2))
    ways = _ways(subject.solver, size)
    start = np.linalg.norm(problem.y0, axis=1)
    with np.errstate(all="ignore"):
        sizes = np.stack([np.linalg.norm(replace(subject, solver=way).solution(asked), axis=2) for way in ways])
    observed = np.maximum(sizes / start - 1, 0.0)[:, 1:]
    return Bounded(np.where(np.isfinite(sizes[:, 1:]), observed, np.inf)), Bounded(np.zeros_like(observed))


def _ways(solver: Solver, size: float) -> list[Solver]:
    if solver.stepping == "adaptive":
        return [solver]
    if not isinstance(solver, Stepped):
        raise NotApplicable("the solver's step cannot be chosen: it has no `step` and `with_step`")
    return [solver.with_step(0.1 / size), solver.with_step(0.025 / size)]


@kept(64)
def drawn_intervals(problem: Problem) -> tuple[Problem, ...]:
    """The problem over eight drawn intervals, forwards and backwards, with 2 to 7 outputs at drawn times.

    Starts and lengths are of the size of the problem's own; every other length is an exact multiple of 0.1, so that a
    number of steps computed as length / step may be off by one by rounding.
    """
    rng = np.random.default_rng(0)
    own = float(abs(problem.ts[-1] - problem.ts[0]))
    found: list[Problem] = []
    for i in range(DRAWS):
        start = problem.ts[0] + own * rng.uniform(-0.5, 0.5)
        length = own * rng.uniform(0.2, 1.0)
        if i % 2:
            start, length = np.round(start, 1), max(0.1, np.round(length, 1))
        inner = np.sort(rng.uniform(0.05, 0.95, rng.integers(0, 6)))
        times = start + length * np.concatenate([[0.0], inner, [1.0]]) * (1 if i % 4 < 2 else -1)
        found.append(
            problem.with_(
                name=f"{problem.name}, interval {i + 1}", ts=times, running=None, loss=silent(problem, len(times))
            )
        )
    return tuple(found)


def fitted(states: Array, shape: tuple[int, ...]) -> Array:
    """States in the shape of as many outputs as were asked for: what is missing is not a number, so is one too many."""
    whole = np.full(shape, np.nan)
    if states.shape[1:] == shape[1:] and len(states) <= shape[0]:
        whole[: len(states)] = states
    return whole


@claim(
    "SOL-13",
    source="the solver's own contract: one state for each time",
    resolution=1e-3,
    mutants=[broken.LAST_OUTPUT_LOST, broken.SECOND_FOR_LAST, wrong.LOCAL_TIME],
)
def outputs_of_drawn_intervals(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Over any interval there is one state for each time asked for, in order, and it is the exact flow's.

    Eight drawn intervals, forwards and backwards, with 2 to 7 outputs. An output that is missing, or one too many, is
    refuted as not a number.
    """
    parts = drawn_intervals(problem)
    truths = [solution(part) for part in parts]

    def observe(s: Subject) -> Array:
        return np.concatenate([fitted(s.solution(part), part.observations).ravel() for part in parts])

    value = np.concatenate([truth.value.ravel() for truth in truths])
    return ladder(subject, observe), Bounded(value, {"reference": np.concatenate([t.radius.ravel() for t in truths])})


@kept(64)
def turned(problem: Problem) -> Problem:
    """The problem with its times in the opposite order: started at what was its end."""
    return problem.with_(
        name=f"{problem.name}, turned", ts=problem.ts[::-1], loss=silent(problem, len(problem.ts)), running=None
    )


@claim(
    "SOL-14",
    source="definition of the flow",
    resolution=1e-3,
    mutants=[wrong.BACKWARDS_SLOWER, broken.BACKWARDS_FORWARDS, broken.SECOND_FOR_LAST],
)
def other_direction(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Where time runs the other way the observed states are those of the exact flow as well."""
    asked = turned(problem)
    return ladder(subject, lambda s: s.solution(asked)), solution(asked)
