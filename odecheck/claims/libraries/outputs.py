"""Many outputs, times that are no binary fractions, a hundred intervals, starts of other sizes (SOL-19 … DER-20).

A handful of outputs at round times is what a solver is tried on when it is written. What depends on their number, on
the digits of a time or of the length of an interval, or on the size of a state, shows elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flow import Trajectory, bounded
from odecheck_reference.looked import kept

from odecheck.claim import claim
from odecheck.claims.papers.node import PONTRYAGIN
from odecheck.claims.papers.solution import silent
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import outputs as broken
from odecheck.refinement import ladder
from odecheck.subject import Subject

from .derivatives import in_times, seen, states_and_parameters

COUNTS = (4, 8, 20)
PIECES = 97
# condition of the sensitivities up to a piece's start, beyond which they have no inverse in float64
CONTRACTED = 1 / np.finfo(np.float64).eps
# of the pieces so many make the bar, the longest among them; the others are granted so many times as much
SOUNDED, GRANTED = 8, 10.0


def places(count: int) -> Array:
    """Increasing places between 0 and 1, with both, of which no two are at a ratio of small whole numbers."""
    k = np.arange(count)
    inner = (k + 0.3 * np.sin(1.0 + k * np.sqrt(2.0))) / (count - 1)
    return np.concatenate([[0.0], inner[1:-1], [1.0]])


def _shifted(problem: Problem, count: int) -> Array:
    """Times over the problem's interval, moved by a part of it that is no binary fraction: the start as well."""
    length = problem.ts[-1] - problem.ts[0]
    return problem.ts[0] + length * (0.0371 + 0.9317 * places(count))


@kept(64)
def many_times(problem: Problem) -> tuple[Problem, ...]:
    """Four, eight and twenty times that are no binary fractions, all of them in the loss, the start as well."""
    return tuple(seen(problem, _shifted(problem, n), range(n), f"{n} times") for n in COUNTS)


@kept(64)
def late_times(problem: Problem) -> tuple[Problem, ...]:
    """Eight and twenty times, of which the start and all of the first half are not in the loss."""
    return tuple(seen(problem, _shifted(problem, n), range(n // 2, n), f"the later of {n} times") for n in COUNTS[1:])


def joined_states(problems: Sequence[Problem]) -> Bounded:
    """The exact states of each part, flat, one after the other."""
    truths = [solution(part) for part in problems]
    value = np.concatenate([truth.value.ravel() for truth in truths])
    return Bounded(value, {"reference": np.concatenate([truth.radius.ravel() for truth in truths])})


def _states(subject: Subject, parts: Sequence[Problem]) -> tuple[Bounded, Bounded]:
    def observe(s: Subject) -> Array:
        return np.concatenate([s.solution(part).ravel() for part in parts])

    return ladder(subject, observe), joined_states(parts)


@claim(
    "SOL-19",
    source="definition of the flow",
    resolution=1e-3,
    mutants=[broken.STATES_OF_NEIGHBOURS, broken.BINARY_TIMES, wrong.OFF_BY_ONE],
)
def many_outputs(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Four, eight and twenty outputs at times that are no binary fractions are those of the exact flow."""
    return _states(subject, many_times(problem))


@claim(
    "DER-18",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.TIMES_OF_NEIGHBOURS, broken.TIMES_WRONG_FROM_EIGHT, wrong.FORGOTTEN_START_TIME],
)
def derivatives_in_many_times(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dts is right at every one of four, eight and twenty times that are no binary fractions."""
    return in_times(subject, many_times(problem))


@claim(
    "DER-19",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.STATES_OF_NEIGHBOURS, broken.START_UNSEEN, broken.BINARY_TIMES, wrong.FORGOTTEN_OBSERVATION],
)
def derivatives_of_many_outputs(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right for four, eight and twenty outputs, with the start in the loss and without it."""
    return states_and_parameters(subject, (*many_times(problem), *late_times(problem)))


@kept(16)
def cut(problem: Problem) -> Problem:
    """The problem at 98 times: the ends of pieces whose lengths differ, and are no binary fractions."""
    times = _shifted(problem, PIECES + 1)
    return problem.with_(
        name=f"{problem.name}, {PIECES} pieces", ts=times, loss=silent(problem, len(times)), running=None
    )


@kept(16)
def pieces(problem: Problem) -> tuple[Problem, ...]:
    """Each piece of the interval by itself, from the exact state at its start, its end alone in the loss."""
    whole = cut(problem)
    states = solution(whole).value
    return tuple(
        seen(problem.with_(y0=states[i]), whole.ts[i : i + 2], [1], f"piece {i + 1} of {PIECES}") for i in range(PIECES)
    )


def _of_pieces(subject: Subject, problem: Problem, observe: Callable[[Subject, Problem], Array]) -> Bounded:
    """What the finest rung gives of every piece; the bar is that of a ladder over some of them, ten times over."""
    parts = pieces(problem)
    longest = int(np.argmax([abs(part.ts[1] - part.ts[0]) for part in parts]))
    sounded = sorted({longest, *range(0, PIECES, PIECES // SOUNDED)})

    def some(s: Subject) -> Array:
        return np.concatenate([observe(s, parts[i]) for i in sounded])

    finest = subject.refined().refined()
    found = np.concatenate([observe(finest, part) for part in parts])
    bars = {name: GRANTED * float(np.max(term)) for name, term in ladder(subject, some).budget.items()}
    return Bounded(found, bars)


@claim(
    "SOL-20",
    source="definition of the flow",
    resolution=1e-3,
    mutants=[broken.RARE_INTERVALS, wrong.WRONG_INTERVAL, broken.BINARY_TIMES],
)
def states_of_a_hundred_intervals(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The state at the end is right for each of 97 intervals of different lengths, solved one by one.

    They are the pieces of one interval, each begun at the exact state. A defect in three intervals out of a hundred is
    missed on eight drawn ones three times in four.
    """
    truth = solution(cut(problem))
    value, radius = truth.value[1:].ravel(), truth.radius[1:].ravel()
    return (
        _of_pieces(subject, problem, lambda s, part: s.solution(part)[-1].ravel()),
        Bounded(value, {"reference": 2 * radius}),  # of the state at the start of a piece as well
    )


@kept(16)
def _slopes(problem: Problem) -> Bounded:
    """dL/dy0 and dL/dtheta of every piece, flat, from the sensitivities along the whole interval.

    With Φ_i = ∂y(t_i)/∂y(t_0) and S_i = ∂y(t_i)/∂theta those from t_i to t_j are Φ = Φ_j Φ_i⁻¹ and S_j − Φ S_i.
    """
    parts, d = pieces(problem), problem.field.state

    def quantity(run: Trajectory) -> Array:
        assert run.first is not None
        of_start, of_theta = run.first[..., :d], run.first[..., d:]
        if not (np.linalg.cond(of_start[:-1]) < CONTRACTED).all():
            raise NotApplicable("the flow contracts to nothing: what a piece does is not to be told from the whole")
        found: list[Array] = []
        for i, part in enumerate(parts):
            across = of_start[i + 1] @ np.linalg.inv(of_start[i])
            slope = part.loss.gradient(run.y[i : i + 2])[1]
            moved = of_theta[i + 1] - across @ of_theta[i]
            found += [np.einsum("bi,bij->bj", slope, across).ravel(), np.einsum("bi,bip->p", slope, moved)]
        return np.concatenate(found)

    return bounded(cut(problem), 1, quantity)


@claim(
    "DER-20",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.RARE_INTERVALS, wrong.WRONG_INTERVAL, wrong.scaled("theta", 1.01)],
)
def derivatives_of_a_hundred_intervals(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right for each of 97 intervals of different lengths, solved one by one."""

    def observe(s: Subject, part: Problem) -> Array:
        got = s.gradient(part)
        return np.r_[got.y0.ravel(), got.theta]

    return _of_pieces(subject, problem, observe), _slopes(problem)


@kept(64)
def other_sizes(problem: Problem) -> tuple[Problem, ...]:
    """The problem from ten times its start, from three times its start with the other sign, and a thousandth of it."""
    times = _shifted(problem, 4)
    return tuple(
        seen(problem.with_(y0=by * problem.y0), times, range(1, 4), f"start times {by:g}") for by in (10.0, -3.0, 1e-3)
    )


@claim(
    "SOL-21",
    source="definition of the flow",
    resolution=1e-3,
    mutants=[broken.INSIDE_A_BOX, wrong.SCALED_FIELD],
)
def states_outside_the_box(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """From starts ten times as large, three times as large with the other sign, and a thousandth, the states are right.

    Fields and solvers that were tried on states of order one alone may be others elsewhere.
    """
    return _in_units(*_states(subject, other_sizes(problem)), problem)


def _in_units(observed: Bounded, expected: Bounded, problem: Problem) -> tuple[Bounded, Bounded]:
    """Each start's numbers in units of the largest of them, so that the smallest counts as the others do."""
    sizes = [float(np.max(np.abs(solution(part).value))) for part in other_sizes(problem)]
    unit = np.repeat(sizes, len(expected.value) // len(sizes))
    return tuple(  # type: ignore[return-value]
        Bounded(one.value / unit, {name: term / unit for name, term in one.budget.items()})
        for one in (observed, expected)
    )
