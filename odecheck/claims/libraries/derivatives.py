"""First derivatives of a solution: each argument, each time, each direction, at rest and across jumps (DER-1 to DER-9).

Where a claim asks for observations of its own, they are those of the problem's flow at other times, through a linear
loss Σ w·y with drawn weights. All speak of the derivative of the flow, as NODE-1 to NODE-5 do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Switched
from odecheck_reference.looked import kept
from odecheck_reference.losses import Linear

from odecheck.claim import claim
from odecheck.claims.papers.node import PONTRYAGIN
from odecheck.engines.base import jumps_of
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import libraries as broken
from odecheck.refinement import ladder
from odecheck.solvers import Stepped
from odecheck.subject import Subject

# places of outputs between the first and the last time: no two of them a common multiple of a step
OFF_GRID = (0.0, 0.1718, 0.4142, 0.7071, 1.0)


def seen(problem: Problem, times: Array, observed: Sequence[int], name: str) -> Problem:
    """The problem's flow at other times, with L = Σ w·y over some of them."""
    weight = np.zeros((len(times), *problem.y0.shape))
    drawn = np.random.default_rng(0).uniform(0.5, 1.5, weight.shape)
    weight[list(observed)] = drawn[list(observed)]
    return problem.with_(name=f"{problem.name}, {name}", ts=times, loss=Linear(weight), running=None)


def _between(problem: Problem, places: Sequence[float]) -> Array:
    return problem.ts[0] + (problem.ts[-1] - problem.ts[0]) * np.array(places)


@kept(64)
def each_alone(problem: Problem) -> tuple[Problem, ...]:
    """Five times, of which one alone is observed: the first after the start, one between, the last."""
    times = _between(problem, OFF_GRID)
    return tuple(seen(problem, times, [i], f"t{i} alone") for i in (1, 3, 4))


@kept(64)
def all_seen(problem: Problem) -> tuple[Problem, ...]:
    """Five times that lie on no step's end, all observed but the start."""
    return (seen(problem, _between(problem, OFF_GRID), [1, 2, 3, 4], "five times"),)


@kept(64)
def on_grid(problem: Problem, step: float) -> tuple[Problem, ...]:
    """Five times that are ends of steps of this length, all observed but the start."""
    length = float(problem.ts[-1] - problem.ts[0])
    counts = np.round(np.array(OFF_GRID) * abs(length) / step)
    if len(set(counts)) < len(counts):
        raise NotApplicable("the interval has fewer than five steps")
    times = problem.ts[0] + np.sign(length) * step * counts
    return (seen(problem, times, [1, 2, 3, 4], "five ends of steps"),)


@kept(64)
def interior_only(problem: Problem) -> tuple[Problem, ...]:
    """Nine times, the first and the last not observed; the second is close to the start."""
    times = _between(problem, (0.0, 0.01, *np.linspace(0.15, 0.9, 6), 1.0))
    return (seen(problem, times, range(1, 8), "interior times"),)


@kept(64)
def turned(problem: Problem) -> tuple[Problem, ...]:
    """Time in the other direction, from the same start state, at five times."""
    back = problem.with_(ts=problem.ts[::-1], loss=problem.loss, running=None)
    return (seen(back, _between(back, OFF_GRID), [1, 2, 3, 4], "turned"),)


def states_and_parameters(subject: Subject, parts: Sequence[Problem]) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta of each part, one after the other."""

    def observe(s: Subject) -> Array:
        found = [s.gradient(part) for part in parts]
        return np.concatenate([np.r_[g.y0.ravel(), g.theta] for g in found])

    truths = [gradient(part) for part in parts]
    return ladder(subject, observe), joined([b for g in truths for b in (g.y0, g.theta)])


def in_times(subject: Subject, parts: Sequence[Problem]) -> tuple[Bounded, Bounded]:
    """dL/dts of each part, one after the other."""
    truth = joined([gradient(part).ts for part in parts])
    return ladder(subject, lambda s: np.concatenate([s.gradient(part).ts for part in parts])), truth


def joined(parts: Sequence[Bounded]) -> Bounded:
    """Bounded values, flat, one after the other."""
    return Bounded(
        np.concatenate([b.value.ravel() for b in parts]),
        {"reference": np.concatenate([b.radius.ravel() for b in parts])},
    )


@claim(
    "DER-1",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[
        wrong.scaled("y0", 1.002),
        wrong.scaled("theta", 1.002),
        wrong.OFF_BY_ONE,
        wrong.TRANSPOSED_JACOBIAN,
        wrong.FORGOTTEN_OBSERVATION,
        broken.SECOND_FOR_LAST,
        broken.ONLY_LAST,
    ],
)
def each_output_alone(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right when one output alone is observed: the first, one between, the last of five."""
    return states_and_parameters(subject, each_alone(problem))


@claim(
    "DER-2",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[
        wrong.scaled("ts", 1.002),
        wrong.FORGOTTEN_START_TIME,
        wrong.FORGOTTEN_END_TIME,
        wrong.FLIPPED_START_TIME,
        broken.INTERIOR_TIMES_FORGOTTEN,
    ],
)
def times_off_the_grid(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dts is right at every one of five times, the start included, none of which is the end of a step by design."""
    return in_times(subject, all_seen(problem))


@claim(
    "DER-3",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[wrong.scaled("ts", 1.002), wrong.FORGOTTEN_START_TIME, broken.INTERIOR_TIMES_FORGOTTEN],
)
def times_on_the_grid(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dts is right at every one of five times, all of which are ends of a fixed-step method's steps."""
    solver = subject.solver
    if solver.stepping != "fixed":
        raise NotApplicable("an adaptive solver has no grid that is known beforehand")
    if not isinstance(solver, Stepped):
        raise NotApplicable("the length of the solver's steps is not known: it has no `step` and `with_step`")
    return in_times(subject, on_grid(problem, solver.step))


@claim(
    "DER-4",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[wrong.scaled("y0", 1.002), broken.ONLY_LAST, wrong.FORGOTTEN_OBSERVATION, wrong.OFF_BY_ONE],
)
def interior_outputs_only(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right when interior outputs alone are observed: seven of nine, one near the start."""
    return states_and_parameters(subject, interior_only(problem))


@claim(
    "DER-5",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.DOUBLED_BACKWARDS, wrong.scaled("theta", 1.002), wrong.TRANSPOSED_JACOBIAN],
)
def other_direction(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right where time runs the other way."""
    return states_and_parameters(subject, turned(problem))


@claim(
    "DER-6",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.FLIPPED_BACKWARDS, wrong.FORGOTTEN_START_TIME, wrong.FORGOTTEN_END_TIME],
)
def times_in_the_other_direction(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dts is right where time runs the other way."""
    return in_times(subject, turned(problem))


@kept(64)
def at_rest(problem: Problem) -> tuple[Problem, ...]:
    """The problem, of which the solution does not move although it would if the parameters were others.

    Raises NotApplicable where the field does not vanish along the solution.
    """
    for t in np.linspace(problem.ts[0], problem.ts[-1], 5):
        jet = problem.field.jet(float(t), problem.y0, problem.theta, 1)
        if jet.value.any() or jet.first is None or not jet.first[..., 1 + problem.field.state :].any():
            raise NotApplicable("speaks of parameters at which the solution stays where it starts")
    return (problem,)


@claim(
    "DER-7",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.BLIND_STEPS, wrong.scaled("theta", 1.002), wrong.scaled("theta", 0.0)],
)
def parameters_at_rest(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right at parameters for which the solution is at rest while its sensitivity moves.

    A solver that chooses its steps for the solution alone takes long ones there.
    """
    return states_and_parameters(subject, at_rest(problem))


def _across(problem: Problem) -> Bounded:
    """[dL/dy0, dL/dtheta] of a linear loss of a switched field, in closed form.

    y(t) = y0 e^{aα + bβ}, α and β the times that a and b have acted: ∂y/∂y0 = e^{…}, ∂y/∂a = α y, ∂y/∂b = β y.
    """
    field = problem.field
    if not isinstance(field, Switched) or not min(problem.ts) < field.at < max(problem.ts):
        raise NotApplicable("speaks of a field that jumps at a known time within the interval")
    if not isinstance(problem.loss, Linear):
        raise NotApplicable("speaks of a linear loss")
    of_start, of_theta = np.zeros(problem.y0.shape), np.zeros(2)
    for t, weight in zip(problem.ts, problem.loss.weight, strict=True):
        spent = field.spent(problem.ts[0], t)
        y = field.solution(problem.ts[0], t, problem.y0, problem.theta)
        of_start += weight * y / problem.y0
        of_theta += spent * np.sum(weight * y)
    value = np.concatenate([of_start.ravel(), of_theta])
    return Bounded(value, {"roundoff": 1e-14 * float(np.max(np.abs(value)))})


def _across_observed(s: Subject, problem: Problem) -> Array:
    got = s.gradient(problem)
    return np.r_[got.y0.ravel(), got.theta]


@claim(
    "DER-8",
    source="closed form of a field that jumps in time",
    resolution=1e-3,
    mutants=[broken.LATE_JUMP, wrong.scaled("theta", 1.002), wrong.scaled("y0", 1.002)],
)
def across_a_jump(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right for a field that is discontinuous in time, of which the solver is not told."""
    truth = _across(problem)
    return ladder(subject, lambda s: _across_observed(s, problem)), truth


@claim(
    "DER-9",
    source="closed form of a field that jumps in time",
    resolution=1e-3,
    mutants=[broken.STOPS_AT_JUMP, broken.LATE_JUMP, broken.GRADIENT_OFF],
)
def across_an_announced_jump(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right for a field that is discontinuous in time, with the solver's own option for it."""
    truth = _across(problem)
    jumps = torch.tensor([problem.field.at], dtype=torch.float64)  # type: ignore[attr-defined]
    told = replace(subject, solver=jumps_of(subject.engine).told(subject.solver, jumps))
    return ladder(told, lambda s: _across_observed(s, problem)), truth
