"""Subjects at a tolerance that somebody uses, in place of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.solvers import ADAPTIVE, Adaptive, Toleranced
from odecheck.subject import Subject

Pair = tuple[Subject, Problem]


def at_tolerance(found: Sequence[Pair], rtol: float | None, atol: float | None, method: str | None) -> list[Pair]:
    """The same pairs, solved at the tolerances that are asked for.

    Args:
        found: Pairs; those of fixed steps are left out, unless a method is named.
        rtol: The relative tolerance.
        atol: The absolute one; None: rtol / 100.
        method: An adaptive method of torchdiffeq; None: each subject's own.

    Returns:
        New pairs.

    Raises:
        BadInput: No relative tolerance, one that is not positive, an unknown method, or nothing that has a tolerance.
    """
    if rtol is None or not rtol > 0 or (atol is not None and not atol >= 0):
        raise BadInput(
            f"the tolerances are rtol={rtol} and atol={atol}", "--atol or --method without --rtol", "--rtol 1e-3"
        )
    if method is not None and method not in ADAPTIVE:
        raise BadInput(
            f"there is no adaptive method {method!r}",
            "a misspelt name, or a method of fixed steps, which has no tolerance",
            f"--method {' or --method '.join(ADAPTIVE)}",
        )
    made: list[Pair] = []
    for subject, problem in found:
        solver = Adaptive(method, rtol=rtol, atol=atol) if method else subject.solver
        if isinstance(solver, Toleranced):
            made.append((replace(subject, solver=solver.with_tolerance(rtol, atol)), problem))
    if not made:
        raise BadInput(
            "no subject has a tolerance that can be chosen", "solvers of fixed steps", "--method dopri5, beside --rtol"
        )
    names = {(subject.name, problem.name) for subject, problem in made}
    return made if len(names) == len(made) else list({(s.name, p.name): (s, p) for s, p in made}.values())
