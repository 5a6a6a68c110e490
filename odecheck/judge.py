"""The judge: a pure function of an observed and an expected number, each with its bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from odecheck_reference import Bounded


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
