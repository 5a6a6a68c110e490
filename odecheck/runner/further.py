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
DECIDED = (Verdict.HOLDS, Verdict.REFUTED)


def evaluated(claim: Claim, subject: Subject, problem: Problem) -> Record:
    """The record of a case; of a field of one's own, at as tight a tolerance as decides it, within two decades.

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
        if problem.independent or not _too_coarse(record, finer):
            break
        finer = finer.refined()
        record = evaluate(claim, finer, problem, promises=False)
        if record.verdict in DECIDED:
            message = (
                f"{record.message} Asked of {finer.solver.name}, as {subject.solver.name} leaves it open: it would "
                f"have seen {first.resolved:.1e}."
            )
            return replace(record, subject=words(subject.name), message=message)
    open_still = first.verdict is Verdict.INCONCLUSIVE and not problem.independent
    return evaluate(claim, subject, problem) if open_still else first


def _too_coarse(record: Record, subject: Subject) -> bool:
    """Whether an error of the solver's that a tighter tolerance may take away is why a case is open."""
    return (
        record.verdict is Verdict.INCONCLUSIVE
        and record.largest_term.startswith("observed: truncation")
        and record.resolved <= 10**TIMES * record.resolution
        and record.resolution < OF_BENDS
        and isinstance(subject.solver, Toleranced)
    )
