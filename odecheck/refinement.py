"""The observed value's own error bar: three rungs of the solver's refinement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from odecheck_reference import Bounded, FlowError
from odecheck_reference.bounded import Array

from .errors import BadInput, NotApplicable, Unsupported
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
# What is granted beyond what a tolerance promises: estimates are no bounds.
GRANTED = 10.0
# How many times worse than a looser rung a tighter one is wrong; right solvers have been 4.4 times worse.
ERRATIC = 100.0
REFINED_ONCE, REFINED_TWICE = 1.05, 1.2
UNREFINED = float(np.finfo(np.float64).eps) ** 0.5


@dataclass(frozen=True, eq=False)
class Rung:
    """One rung of a refinement.

    Attributes:
        subject: At this rung's tolerance or step.
        value: What was observed, of any shape.
        nfe: Evaluations of the field.
        state: How large the smallest state of its solves is.
    """

    subject: Subject
    value: Float64[Array, "*shape"]
    nfe: int
    state: float

    @property
    def scale(self) -> float:
        """The largest component of what was observed."""
        return float(np.max(np.abs(self.value), initial=0.0))


class Refined(Bounded):
    """What was observed at the finest of some rungs, with its bar, and all of the rungs.

    Args:
        rungs: From the coarsest to the finest.
        budget: The terms of the finest one's bar.
        promised: A rung ↦ the largest error that its tolerance allows; infinite where it promises nothing.
    """

    rungs: tuple[Rung, ...]
    promised: Promise

    def __init__(self, rungs: Sequence[Rung], budget: Mapping[str, float], promised: Promise) -> None:
        super().__init__(rungs[-1].value, budget)
        object.__setattr__(self, "rungs", tuple(rungs))
        object.__setattr__(self, "promised", promised)


Promise = Callable[[Rung], float]


def nothing_promised(_: Rung) -> float:
    """What a tolerance promises of a quantity for which nobody has worked it out: any error."""
    return np.inf


def ladder(
    subject: Subject,
    observe: Callable[[Subject], Float64[Array, "*shape"]],
    *,
    scale: float | None = None,
    promised: Promise = nothing_promised,
) -> Refined:
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
    the bar is never below the finest rung's tolerance, of the scale; and where a state is as small as the absolute
    tolerance, ten times that tolerance over the state is a term of the bar: there nothing is asked of the solver.

    Distances are relative to the largest component, all components share one bar.

    Args:
        subject: The first rung; the others are `subject.refined()` and so on.
        observe: What is observed of a rung, of the same shape on each.
        scale: The size to which round-off refers, in the units of what is observed; by default the largest component of
            the observed value.
        promised: A rung ↦ the largest error that its tolerance allows, for `erratic`, which asks it seldom.

    Returns:
        The value of the finest rung, float64, with the error terms "truncation" and "roundoff". Where a finer rung than
        the first raises, that of the last that did not, with an infinite bar.
    """
    rungs: list[Rung] = []
    while len(rungs) < MAX_RUNGS:
        try:
            rungs.append(_observed(rungs[-1].subject.refined() if rungs else subject, observe))
        except (BadInput, NotApplicable, Unsupported, FlowError):
            raise
        except Exception as error:
            if not rungs:
                raise
            said = (str(error).strip().splitlines() or [""])[0]
            return Refined(rungs, {f"a finer rung that raised {type(error).__name__}: {said}": np.inf}, promised)
        if len(rungs) >= 3 and (truncation := _truncation(rungs, scale)) < np.inf:
            break
    else:
        truncation = np.inf
    last = rungs[-1]
    size = last.scale if scale is None else scale
    if isinstance(last.subject.solver, Toleranced) and np.isfinite(last.value).all():
        truncation = max(truncation, last.subject.solver.rtol * size)
    bars = {"truncation": truncation, "roundoff": ROUNDOFF * size if np.isfinite(size) else 0.0}
    if size and (passed := _not_asked(last)):
        bars["absolute tolerance above the state" if last.state else "at rest in zero"] = passed * size
    return Refined(rungs, bars, promised)


def _observed(subject: Subject, observe: Callable[[Subject], Array]) -> Rung:
    with metered() as cost:
        value = np.asarray(observe(subject), dtype=np.float64)
    charge(cost)
    return Rung(subject, value, cost.nfe, cost.size)


def _truncation(rungs: Sequence[Rung], scale: float | None) -> float:
    """The truncation error of the finest of three rungs; infinite where they do not converge."""
    a, b, c = (rung.value for rung in rungs[-3:])
    size = rungs[-1].scale if scale is None else scale
    if not np.isfinite(c).all():
        return 0.0  # not a number is no matter of refinement: the judge refutes it
    ab, bc = float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(b - c), initial=0.0))
    if not (bc <= CONTRACTION * ab or _rounded(ab, bc, size)):
        return np.inf
    truncation, work = SAFETY * max(ab, bc), [rung.nfe for rung in rungs[-3:]]
    if work[-1] > 0 and not _refined(work, seen=max(ab, bc) > 10 * ROUNDOFF * size):
        return max(truncation, UNREFINED * size)
    return truncation


def _not_asked(rung: Rung) -> float:
    """How large an error the absolute tolerance lets pass, relative, where a state is no hundred times as large.

    A state of 1e-12 lies below an absolute tolerance of 1e-9: nothing is asked of the solver, all rungs take the one
    step that it begins with, agree bit for bit and are wrong.
    """
    solver = rung.subject.solver
    if not isinstance(solver, Toleranced) or np.isinf(rung.state):
        return 0.0
    if rung.state == 0.0:
        return np.inf  # at rest in zero every step is as good as another, and its derivatives are not looked at
    atol = solver.rtol / 100 if solver.atol is None else solver.atol
    return 0.0 if rung.state > 100 * atol else 10 * atol / rung.state


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


@dataclass(frozen=True)
class Erratic:
    """A rung that is wrong, whatever the others say.

    Attributes:
        rung: Its number, from 1.
        gap: Its largest distance from what is expected.
        allowed: What a right rung may be off by there.
        text: What was seen, in words.
        observed: The component that is the farthest off.
        expected: What it should be.
        worst: Its index.
    """

    rung: int
    gap: float
    allowed: float
    text: str
    observed: float
    expected: float
    worst: tuple[int, ...]


def erratic(seen: Refined, expected: Bounded, *, undecided: bool) -> Erratic | None:
    """The first rung that is wrong by itself, although the finest of them may be right.

    Two tests. Of an adaptive solver, what a rung's own tolerance promises: more than that is a defect. And without
    constants, of every solver: right ones are at most 4.4 times worse on a tighter rung. A rung that is ERRATIC times
    worse than a looser one, and so than one more rung at least (of a tighter one, by what it may be better: a tenth of
    the tolerance, or the order's power of one half), is no accident: one rung alone may be near by luck. Of fixed steps
    it has to be a valley: instability makes a peak.

    Args:
        seen: What was observed, on all rungs.
        expected: What is right, with its bar; errors below it, or below round-off, say nothing.
        undecided: Whether the verdict is open: only then is the promise asked, which may cost more than the verdict.

    Returns:
        What is wrong, or None.
    """
    if len(seen.rungs) < 2 or not np.isfinite(expected.radius).all() or not expected.value.size:
        return None
    floor = float(np.max(expected.radius)) + ROUNDOFF * max(float(np.max(np.abs(expected.value))), seen.rungs[-1].scale)
    gaps = [np.abs(rung.value - expected.value) for rung in seen.rungs]
    errors = [float(np.max(gap)) for gap in gaps]

    def wrong(k: int, allowed: float, why: str) -> Erratic:
        at = np.unravel_index(int(np.argmax(gaps[k])), gaps[k].shape)
        rung, here = seen.rungs[k], tuple(int(i) for i in at)
        text = f"rung {k + 1} of {len(errors)}, {rung.subject.solver.name}, is off by {errors[k]:.3g}: {why}"
        return Erratic(k + 1, errors[k], allowed, text, float(rung.value[at]), float(expected.value[at]), here)

    for k in range(len(errors)):
        if errors[k] <= _let_pass(seen.rungs[k]) * max(float(np.max(np.abs(expected.value))), seen.rungs[k].scale):
            continue
        worse = [ERRATIC * max(error, floor) for error in errors[:k] if errors[k] > ERRATIC * max(error, floor)]
        if worse and len(worse) + _far_better(seen, errors, floor, k) >= 2 and _no_instability(seen, errors, floor, k):
            others = ", ".join(f"{error:.3g}" for error in errors)
            return wrong(k, min(worse), f"a rung is at most 4.4 times worse than a looser one, and these are {others}")
        if undecided or worse:
            allowed = seen.promised(seen.rungs[k]) + floor
            if errors[k] > allowed:
                return wrong(k, allowed, f"its tolerance promises {allowed:.3g}")
    return None


def _let_pass(rung: Rung) -> float:
    """What one step of an adaptive solver may be off by, relative and ten times: no more than this is asked of it."""
    solver = rung.subject.solver
    if not isinstance(solver, Toleranced) or not rung.state > 0:
        return 0.0 if not isinstance(solver, Toleranced) else np.inf
    atol = solver.rtol / 100 if solver.atol is None else solver.atol
    return 10 * (solver.rtol + atol / rung.state)


def _no_instability(seen: Refined, errors: Sequence[float], floor: float, k: int) -> bool:
    """Whether steps that are too long for the problem do not explain that a rung is worse than a looser one.

    Steps of a given length that are unstable make an error that grows as they shrink, and then falls for good: there is
    a peak and no valley. An adaptive solver rejects such steps.
    """
    if isinstance(seen.rungs[k].subject.solver, Toleranced):
        return True
    valleys = [i for i in range(1, k) if errors[k] > ERRATIC * max(errors[i], floor)]
    return any(max(errors[:i]) > ERRATIC * max(errors[i], floor) for i in valleys)


def _far_better(seen: Refined, errors: Sequence[float], floor: float, k: int) -> int:
    """How many tighter rungs are better than one by ERRATIC times what refinement explains."""
    solver = seen.rungs[k].subject.solver
    gain = 10.0 if isinstance(solver, Toleranced) else 2.0**solver.order
    return sum(errors[k] > ERRATIC * gain ** (m - k) * max(errors[m], floor) for m in range(k + 1, len(errors)))
