"""A field asked by its values alone, in every stratum of time: its derivatives, and whether it is a function at all.

SOL-1.1 asks at the output times. A derivative that lies between them, or a field that remembers, would pass it and,
where there is no second formula, every later claim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept

from odecheck.claim import claim
from odecheck.errors import Unsupported
from odecheck.field_values.circumstances import ask_circumstances
from odecheck.field_values.derivatives import ask_derivatives
from odecheck.field_values.function import ask_function
from odecheck.field_values.look import path_of
from odecheck.field_values.outside import ask_outside
from odecheck.field_values.points import Path
from odecheck.field_values.seen import DerivativesSeen
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import values
from odecheck.subject import SHIPPED, Subject

# strata of a claim's own look: a window of 2 / 64 of the interval is certainly looked at
SAMPLES = 64
# at every so many of them second derivatives
SECOND = 2
FIRST_RESOLUTION, SECOND_RESOLUTION, SAME = 1e-6, 1e-3, 1e-8


@claim(
    "SOL-1.2",
    source="the field's own values",
    resolution=FIRST_RESOLUTION,
    scale=1.0,
    mutants=[
        values.DETACHED_IN_WINDOWS,
        values.DETACHED_PARAMETERS,
        values.WRONG_BACKWARD,
        values.FLOAT32_CLOCK,
        wrong.DETACHED_STATE,
        wrong.DETACHED_TIME,
        wrong.FLOAT32_FIELD,
        wrong.TRANSPOSED_JACOBIAN,
    ],
)
def reverse_mode_is_of_the_values(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In every part of the interval, reverse mode gives the derivatives of the field's values.

    Asked at a random time in each of 64 equal parts, at states on, around and beyond the trajectory, for half of them
    with parameters beside the given ones, along a direction through t, y and theta at once. Observed: the distance of
    w·J v by reverse mode from w·g'(0) of the values g(h) along that direction, relative to value and derivative
    together. Expected: zero. Bar: ten times the uncertainty of the extrapolated differences, and rounding.
    """
    return _judged(_seen(subject, problem), "reverse mode", FIRST_RESOLUTION, SAMPLES)


@claim(
    "SOL-1.3",
    source="definition of a vector field",
    resolution=SAME,
    scale=1.0,
    mutants=[
        values.FROZEN_AT_FIRST_CALL,
        values.CACHED_PARAMETERS,
        values.KEPT_BY_TIME,
        values.CALL_ORDER,
        wrong.RANDOM_FIELD,
        wrong.MIXED_ROWS,
        values.WRONG_OF_ONE_ROW,
        values.WRONG_AT_CONSTANT_TIMES,
    ],
)
def field_is_a_function(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The field is a function of time, state and parameters: the same question has the same answer at any time.

    Observed: for each question (in the first call of another copy, after other points, in another order, at the same
    time or state, with gradients, with changed or replaced parameters, by functional_call, a row by itself; its input
    and its output afterwards) the largest relative distance from the answer of an object that was never asked before;
    and of its gradients for other numbers of rows, and with fewer of time, state and parameters tracked, from one.
    Expected: zero. Bar: rounding.
    """
    asked = (lambda: subject.module(problem)), _path(subject, problem), (problem.field.state,)
    found = ask_function(*asked) + ask_circumstances(*asked) + ask_outside(*asked)
    bars = np.array([answer.bar for answer in found])
    return Bounded(np.array([answer.gap for answer in found])), Bounded(np.zeros(len(found)), {"rounding": bars})


@claim(
    "SOL-1.4",
    source="the field's own values",
    resolution=SECOND_RESOLUTION,
    scale=1.0,
    mutants=[values.WITHOUT_SECOND],
)
def second_derivatives_are_of_the_values(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Reverse mode over reverse mode gives the second derivatives of the field's values.

    As SOL-1.2, in every second part, with w·g''(0): the second derivative along a direction through t, y and theta at
    once, from second differences of the values extrapolated to step zero.
    """
    return _judged(_seen(subject, problem), "reverse mode twice", SECOND_RESOLUTION, SAMPLES // SECOND)


@claim(
    "SOL-1.5",
    source="the field's own values",
    resolution=FIRST_RESOLUTION,
    scale=1.0,
    mutants=[values.WRONG_FORWARD_MODE, values.DETACHED_IN_WINDOWS, wrong.DETACHED_STATE],
)
def forward_mode_is_of_the_values(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In every part of the interval, forward mode gives the derivatives of the field's values.

    As SOL-1.2, with J v by dual numbers, component by component.
    """
    seen = _seen(subject, problem)
    if not any(sample.mode == "forward mode" for sample in seen.samples):
        raise Unsupported("an operation of the field has no forward mode")
    return _judged(seen, "forward mode", FIRST_RESOLUTION, SAMPLES)


def _judged(seen: DerivativesSeen, mode: str, resolution: float, asked: int) -> tuple[Bounded, Bounded]:
    """The samples of a mode that say something; nothing is known where fewer than half of the places do."""
    clear = [s for s in seen.samples if s.mode == mode and (s.off or s.bar < resolution / 2)]
    bars = np.array([s.bar for s in clear] or [np.inf])
    defects = np.array([s.defect for s in clear] or [0.0])
    unseen = np.inf if 2 * len(clear) < asked else 0.0
    return Bounded(defects), Bounded(np.zeros(len(defects)), {"differences": bars, "not judged": unseen})


def _path(subject: Subject, problem: Problem) -> Path:
    knots: Array = solution(problem).value
    return path_of(subject.module(problem), problem.ts, knots, knots.shape[2:])


def _seen(subject: Subject, problem: Problem) -> DerivativesSeen:
    if subject.field is SHIPPED:  # made of the problem's own numbers at each call: nobody can have changed it meanwhile
        return _seen_of_shipped(OfField(subject), problem)
    return _asked(subject, problem)


@dataclass(frozen=True)
class OfField:
    """A subject as far as its field goes: whatever its solver and engine are."""

    subject: Subject = field(compare=False)
    around: tuple[Callable[..., object], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "around", self.subject.around)


@kept(64)
def _seen_of_shipped(of: OfField, problem: Problem) -> DerivativesSeen:
    return _asked(of.subject, problem)


def _asked(subject: Subject, problem: Problem) -> DerivativesSeen:
    module, path = subject.module(problem), _path(subject, problem)
    return ask_derivatives(module, path, (problem.field.state,), samples=SAMPLES, forward=True, second=SECOND)
