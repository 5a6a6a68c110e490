"""A field and its second formula where no problem goes (SOL-1.6): a clamp or a cast far away passes everything else."""

from __future__ import annotations

import numpy as np
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array

from odecheck.claim import claim
from odecheck.claims.papers.solution import EPS, module_jet
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import outputs as broken
from odecheck.subject import Subject

# starts of these sizes, and times this many lengths of the interval before and after its middle
SIZES, LENGTHS = (-30.0, -4.0, 1e-3, 4.0, 30.0), (-2.0, -0.7, 0.3, 0.9, 2.5)


def far_points(problem: Problem) -> list[tuple[float, Array]]:
    """Times and states far outside of those that a problem visits. Squares that a model averages stay positive."""
    first, last = problem.ts[0], problem.ts[-1]
    points: list[tuple[float, Array]] = []
    for size, at in zip(SIZES, LENGTHS, strict=True):
        y = size * problem.y0
        if "v" in problem.field.parts:
            v = problem.field.parts["v"]
            y[:, v] = np.abs(y[:, v])
        points.append(((first + last) / 2 + at * (last - first), y))
    return points


@claim(
    "SOL-1.6",
    source="the field's own definition",
    resolution=1e-9,
    mutants=[broken.INSIDE_A_BOX, wrong.SCALED_FIELD, wrong.FROZEN_TIME, wrong.FLOAT32_FIELD],
)
def twins_agree_far_away(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Outside of the states and times that the problem visits the field and its derivatives are those of the formula.

    Compared at five points, at states from a thousandth to thirty times the start and at times before and after the
    interval: F, F_t, F_y and F_theta, each point relative to its own largest number.
    """
    if not problem.independent:
        raise NotApplicable("the problem's field is the subject's own, called back: there is no second formula")
    module = subject.module(problem)
    seen: list[Array] = []
    right: list[Array] = []
    for t, y in far_points(problem):
        with np.errstate(all="ignore"):
            jet = problem.field.jet(t, y, problem.theta, 1)
        assert jet.first is not None
        exact = np.concatenate([jet.value[..., None], jet.first], axis=-1)
        size = float(np.max(np.abs(exact)))
        if np.isfinite(size) and size > 0:
            seen.append(module_jet(module, t, y) / size)
            right.append(exact / size)
    if not seen:
        raise NotApplicable("the formula has no finite value there")
    # a field is a few dozen rounded operations, each at the size of what it adds up
    return Bounded(np.stack(seen)), Bounded(np.stack(right), {"roundoff": 1e3 * EPS})
