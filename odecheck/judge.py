"""The judge: a pure function of an observed and an expected number with their bars; what is asked, and what decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from odecheck_reference import Bounded, Problem
from odecheck_reference.bends import bends_at_all, is_bent
from odecheck_reference.sensitivity import with_cost_as_state

from .solvers import Solver, Stepped, Toleranced

# below this no tolerance of float64 means anything
TIGHTEST = 1e-13
# a term of a bar, by the words in its name → what makes it smaller
ADVICE = {
    "errors at the level of the reference": "looser tolerances or longer steps, or a longer interval: errors that "
    "lie well above the reference's bar",
    "steps that the tolerance does not choose": "a longer interval, or outputs that are farther apart: then the "
    "tolerance chooses the steps",
    "promised": "a tighter tolerance: what this one promises is as large as what is right",
    "absolute tolerance above the state": "an absolute tolerance that is far below the state: "
    "Adaptive(..., atol=...), or a state in other units",
    "at rest in zero": "a start away from zero, where the solution moves: at rest in zero no tolerance asks anything "
    "of the steps, on which derivatives depend",
    "a finer rung that raised": "a tolerance or a step that can be refined twice: begin with a looser one, or with a "
    "shorter interval",
    "not yet asymptotic": "shorter steps or a shorter interval: a ladder of errors further down, where it is a power",
    "fit": "a wider ladder of errors: more decades of tolerance, so that their scatter says less",
    "roundoff": "numbers of one size, or a shorter interval: the answer is as small as what float64 rounds",
    "round-off": "numbers of one size, or a shorter interval: the answer is as small as what float64 rounds",
}

# The relative defect that is asked to be seen where a field bends. Derivatives of steps that do not end on bends
# converge to first order alone: of a convolutional classifier they are off by 3e-3 at rtol 1e-7, and three rungs vouch
# for four times as much.
OF_BENDS = 0.1
BENT = (
    "The field bends along its solution, as networks of relu do, and solvers step over bends: no more than a tenth is "
    "asked to be seen."
)


class Verdict(StrEnum):
    """What became of one claim on one subject and one problem.

    Attributes:
        HOLDS: The gap is within the bar, and a defect of the resolution asked for would have been seen.
        REFUTED: The gap is beyond the bar.
        INCONCLUSIVE: The gap is within the bar, and the bar is too wide to see a defect of the resolution asked for.
        NOT_APPLICABLE: The claim does not speak about this subject or problem.
        UNSUPPORTED: The engine or the solver cannot do what the claim asks of it.
        ERROR: The subject raised an exception, or its process ended.
        NOT_ASKED: The time that was given was up before.
    """

    HOLDS = "holds"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    NOT_ASKED = "not asked"


HOLDS, REFUTED, INCONCLUSIVE = Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Judgement:
    """The verdict and all that it rests on, at the worst component.

    Attributes:
        verdict: What became of the comparison.
        worst: The index of the component whose score is the largest.
        observed: The observed number there.
        expected: The expected one.
        bar: The sum of both error bars there, in the units of the numbers; infinite where nothing is known.
        score: Gap / bar.
        ratio: Observed / expected; NaN where zero is expected.
        resolved: The smallest relative defect that would have been refuted for certain.
        budget: The terms of the bar there, largest first.
    """

    verdict: Verdict
    worst: tuple[int, ...]
    observed: float
    expected: float
    bar: float
    score: float
    ratio: float
    resolved: float
    budget: Mapping[str, float]


def judge(observed: Bounded, expected: Bounded, *, resolution: float, scale: float | None = None) -> Judgement:
    """Compare two bounded values of the same shape.

    gap > bar: refuted, however wide the bar. Otherwise resolved > resolution: inconclusive. Otherwise it holds.
    A defect of relative size r moves the largest component of `expected` by r · scale; it is refuted for certain
    if r · scale > bar + gap there, so resolved = max(bar + gap) / scale.

    Args:
        observed: What the subject gave, any shape, with its bar.
        expected: What the mathematics says, of the same shape, with its bar.
        resolution: The largest relative defect that may stay unseen in a verdict "holds".
        scale: What a defect is relative to, in the units of the numbers; by default the largest |expected|.

    Returns:
        The verdict with what it rests on.

    Raises:
        ValueError: The shapes differ, or nothing is compared.

    Examples:
        >>> judge(Bounded(2.0, {"truncation": 0.1}), Bounded(2.5), resolution=0.01).verdict
        <Verdict.REFUTED: 'refuted'>
        >>> judge(Bounded(2.0, {"truncation": 1.0}), Bounded(2.5), resolution=0.01).verdict
        <Verdict.INCONCLUSIVE: 'inconclusive'>
    """
    if observed.value.shape != expected.value.shape or observed.value.size == 0:
        raise ValueError(f"observed {observed.value.shape} and expected {expected.value.shape} cannot be compared")
    gap = np.abs(observed.value - expected.value)
    bar = observed.radius + expected.radius
    # not a number anywhere in the observed value is a refutation, whatever the bar
    gap = np.where(np.isnan(gap), np.inf, gap)
    finite_bar = np.where(np.isnan(bar), np.inf, bar)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        score = np.where(gap == 0, 0.0, np.where(np.isinf(gap), np.inf, gap / finite_bar))
    worst = np.unravel_index(int(np.argmax(score)), score.shape)
    size = float(np.max(np.abs(expected.value))) if scale is None else scale
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        resolved = float(np.float64(np.max(finite_bar + gap)) / size) if size > 0 else float("inf")
    if score[worst] > 1:
        verdict = Verdict.REFUTED
    else:
        verdict = Verdict.INCONCLUSIVE if not resolved <= resolution else Verdict.HOLDS
    o, e = float(observed.value[worst]), float(expected.value[worst])
    terms = {f"observed: {k}": float(v[worst]) for k, v in observed.budget.items()}
    terms |= {f"expected: {k}": float(v[worst]) for k, v in expected.budget.items()}
    return Judgement(
        verdict,
        tuple(int(i) for i in worst),
        o,
        e,
        float(finite_bar[worst]),
        float(score[worst]),
        o / e if e else float("nan"),
        resolved,
        dict(sorted(terms.items(), key=lambda item: -item[1])),
    )


def bends(problem: Problem) -> bool:
    """Whether the field of a problem bends along its solution; of one with a formula of its own, again and again.

    Args:
        problem: What is asked about; of a field that raises beside its solution nothing is known.
    """
    whole = with_cost_as_state(problem)
    try:
        return is_bent(whole) if problem.independent else bends_at_all(whole)
    except Exception:
        return False


def reference_without_an_answer(reason: object) -> str:
    """What would decide a case for which the reference refuses.

    Args:
        reason: What the reference said.

    Returns:
        One line.
    """
    known = str(reason)
    where = "" if "breaks" in known else ", or Problem(breaks=[...]) at the times where its field is not smooth"
    return f"a problem that the reference can follow: shorter times{where}"


def what_decides(judgement: Judgement, *, resolution: float, solver: Solver) -> str:
    """What would make an inconclusive verdict one that holds or is refuted.

    Args:
        judgement: The comparison whose bar was too wide.
        resolution: The largest relative defect that may stay unseen.
        solver: Of the subject, whose tolerance or step it names.

    Returns:
        One line: what to change, and by how much.
    """
    if math.isinf(judgement.resolved) and math.isfinite(judgement.bar):
        return "a problem whose answer is not zero: here a defect is relative to nothing"
    name = next(iter(judgement.budget), "")
    wanted = judgement.resolved / resolution if resolution > 0 else math.inf
    side, _, term = name.partition(": ")
    known = next((text for words, text in ADVICE.items() if words in term), "")
    if known:
        return known
    if side == "expected":
        return (
            f"a truth that is known {_times(wanted)} more sharply: shorter times, or Problem(breaks=[...]) where the "
            "field is not smooth"
        )
    if "truncation" in term:
        return _finer(solver, wanted)
    return f"a bar that is {_times(wanted)} smaller: its largest term is {name or 'none'}"


def _times(factor: float) -> str:
    return f"{factor:.2g} times" if math.isfinite(factor) else "far"


def _finer(solver: Solver, factor: float) -> str:
    """The tolerance or the step at which the truncation error is smaller by a factor, in words."""
    if math.isinf(factor):
        return f"rungs that converge: {_tighter(solver, 1e4)}, or a shorter interval"
    return f"an error that is {_times(factor)} smaller: {_tighter(solver, 2 * factor)}"


def _tighter(solver: Solver, factor: float) -> str:
    if isinstance(solver, Toleranced):
        rtol = solver.rtol / factor
        if rtol < TIGHTEST:
            return f"a shorter interval; at rtol={solver.rtol:g} there is little left that a tolerance could do"
        return f"rtol={10 ** math.floor(math.log10(rtol)):g} in place of {solver.rtol:g}"
    if isinstance(solver, Stepped):
        return f"a step of {solver.step / factor ** (1 / solver.order):.1g} in place of {solver.step:g}"
    return "a finer solver"
