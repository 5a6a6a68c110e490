"""A claim on a field of one's own that a solver is too coarse to decide: asked again at tighter tolerances."""

from __future__ import annotations

from dataclasses import replace

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.foreign import words
from odecheck.judge import OF_BENDS, Verdict
from odecheck.record import Record, evaluate
from odecheck.solvers import Toleranced
from odecheck.subject import Subject

# so often a tolerance is tightened: each time makes an error that falls with it ten times smaller, and costs one rung
TIMES = 2
# a relative defect that has to be seen at least, of a statement that no tolerance decides as sharply as is asked
COARSE = 1e-3
LEFT_OPEN = (
    "The error of the solver falls slowly here, as where a derivative of the field jumps: at no tolerance within reach "
    "would a defect of {:.0e} be seen, and what holds is the statement up to what would have been."
)
DECIDED = (Verdict.HOLDS, Verdict.REFUTED)


def evaluated(claim: Claim, subject: Subject, problem: Problem) -> Record:
    """The record of a case; of a field of one's own, at as tight a tolerance as decides it, within two decades.

    What none of them decides is asked for COARSE: that a spline has knots is no reason to say nothing.

    A statement is of the flow, and a solver's rungs approach it: those from a tighter tolerance on are worth as much,
    and all but the last are there already. Where the field bends each costs five times the one before: these are left.

    Args:
        claim: What is asked.
        subject: Of whom.
        problem: On what.

    Returns:
        The first record, or one that holds or is refuted, under the subject's name, which says where its rungs begin.
    """
    first = record = evaluate(claim, subject, problem, promises=problem.independent)
    finer = subject
    for _ in range(TIMES):
        if problem.independent or not _too_coarse(record, finer, within=10**TIMES * record.resolution):
            break
        finer = finer.refined()
        record = evaluate(claim, finer, problem, promises=False)
        if record.verdict in DECIDED:
            message = (
                f"{record.message} Asked of {finer.solver.name}, as {subject.solver.name} leaves it open: it would "
                f"have seen {first.resolved:.1e}."
            )
            return replace(record, subject=words(subject.name), message=message)
    if problem.independent or first.verdict is not Verdict.INCONCLUSIVE:
        return first
    first = evaluate(claim, subject, problem)  # with what each tolerance promises, which an erratic error breaks
    if claim.expected(problem) is not Verdict.HOLDS or not _too_coarse(first, subject, within=COARSE):
        return first  # of a sentence that is false as read, that a coarse look finds nothing says nothing
    coarse = evaluate(claim, subject, problem, promises=False, asked=COARSE)
    return replace(coarse, message=f"{coarse.message} {LEFT_OPEN.format(first.resolution)}")


def _too_coarse(record: Record, subject: Subject, *, within: float) -> bool:
    """Whether an error of the solver's, no larger than this, is why a case is open."""
    return (
        record.verdict is Verdict.INCONCLUSIVE
        and record.largest_term.startswith("observed: truncation")
        and record.resolved <= within
        and record.resolution < OF_BENDS
        and isinstance(subject.solver, Toleranced)
    )
