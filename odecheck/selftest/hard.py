"""Hard problems, with features that every solver steps over: the truth is inside the bar, or the reference refuses.

`odecheck selftest --part hard` draws them; the families are those of `odecheck_reference.hard`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from odecheck_reference import Bounded, gradient, hard, solution
from odecheck_reference.flow import FlowError
from odecheck_reference.hard_problem import Hard

from .journal import Piece
from .journal import Row as JournalRow

mp: Any = mpmath
# what became of a problem; BELOW: outside, with a feature that is narrower than what was certainly looked at
INSIDE, OUTSIDE, BELOW, REFUSED = "inside", "outside", "below the published width", "refused"


def judged(seed: int) -> list[JournalRow]:
    """The one row of one drawn problem, for the journal."""
    problem = hard.drawn(seed)
    return [{"seed": seed, "family": problem.family, **_said(problem)}]


def _said(problem: Hard) -> JournalRow:
    try:
        seen, slopes = solution(problem.problem), gradient(problem.problem)
    except FlowError as refused:
        return {"state": REFUSED, "quantities": "", "score": math.nan, "slack": math.nan, "why": str(refused)}
    pairs = problem.pairs(seen, slopes)
    measured = [(name, *_measured(bounded, truth)) for name, bounded, truth in pairs]
    outside = [name for name, score, _ in measured if not score <= 1]
    looked_at = max(bounded.looked_at or 0.0 for _, bounded, _ in pairs)
    state = INSIDE if not outside else BELOW if problem.narrowest < looked_at else OUTSIDE
    slack = [slack for *_, slack in measured if not math.isnan(slack)]
    return {
        "state": state,
        "quantities": ", ".join(outside),
        "score": max(score for _, score, _ in measured),
        "slack": float(np.median(slack)) if slack else math.nan,
        "why": "",
    }


def _measured(bounded: Bounded, truth: Sequence[Any]) -> tuple[float, float]:
    """The largest error / bar, and the largest bar / the largest error; NaN where there is no error."""
    with mp.workdps(60):
        errors = [float(abs(mp.mpf(v) - t)) for v, t in zip(bounded.value.ravel().tolist(), truth, strict=True)]
    radii: list[float] = bounded.radius.ravel().tolist()
    scores = [0.0 if e <= r else e / r if r else math.inf for e, r in zip(errors, radii, strict=True)]
    inside = [e / r for e, r in zip(errors, radii, strict=True) if e <= r and r]
    return max(*scores, *inside, 0.0), max(radii) / max(errors) if max(errors) else math.nan


def pieces(first: int, count: int) -> list[Piece]:
    """One piece of work for each of `count` problems, by their seeds from `first` on."""
    return [Piece(str(seed), seed) for seed in range(first, first + count)]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many problems there are, outside their bar, refused; the same by family, with the median of bar / error."""
    families = [
        {"family": family, **_counts([row for row in rows if row["family"] == family])}
        for family in sorted({row["family"] for row in rows})
    ]
    outside = [dict(row) for row in rows if row["state"] == OUTSIDE]
    return {**_counts(rows), "outside_rows": outside, "families": families}


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    slack = [row["slack"] for row in rows if row["slack"] is not None and not math.isnan(row["slack"])]
    return {
        "problems": len(rows),
        "outside": sum(row["state"] == OUTSIDE for row in rows),
        "below": sum(row["state"] == BELOW for row in rows),
        "refused": sum(row["state"] == REFUSED for row in rows),
        "median": float(np.median(slack)) if slack else None,
    }


def bad(made: Mapping[str, Any]) -> list[str]:
    """What is wrong, in words."""
    return [
        f"the truth is outside the bar: {row['quantities']} of the hard problem {row['seed']} ({row['family']}), "
        f"{row['score']:.3g} times"
        for row in made.get("outside_rows", ())
    ]


def words(made: Mapping[str, Any]) -> tuple[str, tuple[str, ...], list[tuple[Any, ...]]]:
    """A sentence, and the head and rows of the table by family."""
    share = made["refused"] / max(1, made["problems"])
    text = (
        f"{made['problems']:,} problems with features that solvers step over, tiny and huge scales, jumps, stiffness, "
        f"poles and kinks, whose truth is known in closed form to 30 digits or more: **{made['outside']}** with the "
        f"truth outside the bar, {made['below']} with a feature narrower than what was certainly looked at, "
        f"{made['refused']} refused ({share:.1%})."
    )
    head = ("family", "problems", "outside", "below the published width", "refused", "bar / error, median")
    return text, head, [tuple(row.values()) for row in made["families"]]
