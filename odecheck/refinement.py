"""The observed value's own error bar: three rungs of the solver's refinement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from odecheck_reference import Bounded
from odecheck_reference.bounded import Array

from .instruments.metering import charge, metered
from .solvers import Toleranced
from .subject import Subject

if TYPE_CHECKING:
    from jaxtyping import Float64

# An error that shrinks by less than this from one rung to the next is no convergence.
CONTRACTION = 0.7
# Round-off of one solve: a few hundred rounded operations at the scale of the largest component.
ROUNDOFF = 1e3 * float(np.finfo(np.float64).eps)
# Differences of rungs that are smaller than this are rounding; larger ones that grow by more than GROWTH from one rung
# to the next are not, however small they are.
NOISE = 64 * float(np.finfo(np.float64).eps)
GROWTH = 2.0
SAFETY = 4.0
MAX_RUNGS = 5
# A rung of a method of order eight makes 10^(1/8) = 1.33 times as many steps as the one before, two rungs 1.8 times;
# those of any other method more. Where steps also end on outputs or jumps it is less.
REFINED_ONCE, REFINED_TWICE = 1.05, 1.2
UNREFINED = float(np.finfo(np.float64).eps) ** 0.5


def ladder(
    subject: Subject, observe: Callable[[Subject], Float64[Array, "*shape"]], *, scale: float | None = None
) -> Bounded:
    """Observe on three rungs a, b, c and return the finest with its truncation error.

    If the errors shrink by at least 0.7 from rung to rung, e_c <= 0.7 / 0.3 · |b − c| and, as both distances bound
    it, 4 · max(|a − b|, |b − c|) is a bound with margin, also where one distance is small by accident. Rungs that do
    not contract give way to the next three, twice at most; whether they do is seen without the expected value. If they
    never contract the bar is infinite: then nothing is known about the limit. Distances at the level of round-off need
    not shrink, but may not grow either.

    A solver may take the same steps on every rung: where it lands on outputs, or where the solution that it controls is
    easier than what is observed, or the interval so short that a handful of steps will do. Rungs that cost the same
    agree for that reason and not because they have converged; then the bar is at least √eps of the scale. Nor do a few
    more evaluations say that the step was refined whose error is the largest: rungs of some few steps have agreed to
    1e-14 and been off by 4e-12, at a tolerance of 1e-9. An error far below the tolerance that was asked for is luck, so
    the bar is never below the finest rung's tolerance, of the scale.

    Distances are relative to the largest component, all components share one bar.

    Args:
        subject: The first rung; the others are `subject.refined()` and so on.
        observe: What is observed of a rung, of the same shape on each.
        scale: The size to which round-off refers, in the units of what is observed; by default the largest component of
            the observed value.

    Returns:
        The value of the finest rung, float64, with the error terms "truncation" and "roundoff".
    """
    rung = subject
    values: list[Array] = []
    work: list[int] = []
    truncation = np.inf
    while len(values) < MAX_RUNGS:
        rung = rung.refined() if values else subject
        with metered() as cost:
            values.append(np.asarray(observe(rung), dtype=np.float64))
        charge(cost)
        work.append(cost.nfe)
        if len(values) < 3:
            continue
        a, b, c = values[-3:]
        size = float(np.max(np.abs(c), initial=0.0)) if scale is None else scale
        ab, bc = float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(b - c), initial=0.0))
        if not np.isfinite(c).all():
            truncation = 0.0  # not a number is no matter of refinement: the judge refutes it
            break
        if bc <= CONTRACTION * ab or _rounded(ab, bc, size):
            truncation = SAFETY * max(ab, bc)
            if work[-1] > 0 and not _refined(work[-3:], seen=max(ab, bc) > 10 * ROUNDOFF * size):
                truncation = max(truncation, UNREFINED * size)
            break
    last = values[-1]
    size = float(np.max(np.abs(last), initial=0.0)) if scale is None else scale
    if isinstance(rung.solver, Toleranced) and np.isfinite(last).all():
        truncation = max(truncation, rung.solver.rtol * size)
    return Bounded(last, {"truncation": truncation, "roundoff": ROUNDOFF * size if np.isfinite(size) else 0.0})


def _rounded(ab: float, bc: float, size: float) -> bool:
    """Whether two distances are round-off, and not the beginning of an approach to a limit that is far away.

    Explicit Euler on y' = −50 y gives 0, 1e-15, 3e-13 at the steps .02, .01, .005, where 1e-11 is right: these are near
    each other because the method damps too much, and their distances grow until it no longer does.
    """
    return max(ab, bc) <= 10 * ROUNDOFF * size and bc <= GROWTH * max(ab, NOISE * size)


def _refined(work: list[int], *, seen: bool) -> bool:
    """Whether three rungs cost so much more, one than another, that their distances tell something.

    seen: whether these distances are more than round-off. Then each rung has to have cost more than the one before: two
    that take alike steps are near each other, and a third may be so too.
    """
    a, b, c = work
    return c >= REFINED_TWICE * a and (not seen or min(b / a, c / b) >= REFINED_ONCE)
