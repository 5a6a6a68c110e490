"""What would decide a verdict that is inconclusive: one line, made of the largest term of its bar."""

from __future__ import annotations

import math

from .judge import Judgement
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
    "a finer rung that raised": "a tolerance or a step that can be refined twice: begin with a looser one, or with a "
    "shorter interval",
    "not yet asymptotic": "shorter steps or a shorter interval: a ladder of errors further down, where it is a power",
    "fit": "a wider ladder of errors: more decades of tolerance, so that their scatter says less",
    "roundoff": "numbers of one size, or a shorter interval: the answer is as small as what float64 rounds",
    "round-off": "numbers of one size, or a shorter interval: the answer is as small as what float64 rounds",
}


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
