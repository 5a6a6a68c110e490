"""Which question a claim asks."""

from __future__ import annotations

from collections.abc import Callable

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.subject import Subject

from . import gradients, solutions, surroundings
from . import usage as uses
from .question import SHOW, Question

Make = Callable[[str, Subject, Problem, str], Question]


def ask(claim_id: str, subject: Subject, problem: Problem, worst: str = "") -> Question:
    """The question of a claim.

    Args:
        claim_id: the claim's id.
        subject: of the row.
        problem: of the row.
        worst: the index of the row's worst component, as text.

    Returns:
        The question.

    Raises:
        BadInput: none is known for this claim.
    """
    for ids, make in QUESTIONS:
        if claim_id in ids:
            return make(claim_id, subject, problem, worst)
    raise BadInput(
        f"no script is known for claim {claim_id}",
        "a claim about a model, an optimizer or a curvature matrix, and not about a solver",
        SHOW,
    )


QUESTIONS: tuple[tuple[tuple[str, ...], Make], ...] = (
    (("SOL-2", "SOL-13", "SOL-14", "SOL-19", "SOL-20", "SOL-21"), solutions.states),
    (("SOL-3", "SOL-4", "SOL-10", "SOL-11"), solutions.order),
    (("SOL-5",), solutions.tolerance),
    (("SOL-6", "SOL-7", "SOL-8", "SOL-9"), solutions.consistency),
    (("SOL-12",), solutions.decay),
    (("SOL-18",), solutions.promise),
    (("SOL-15",), solutions.single),
    (("SOL-16", "SOL-17"), solutions.form),
    (("NODE-1", "NODE-2", "NODE-3", *(f"DER-{i}" for i in (*range(1, 10), *range(17, 21)))), gradients.gradient),
    (("NODE-4", "NODE-5"), gradients.invariant),
    (("DER-10", "DER-11", "DER-12", "DER-15", "DER-16", "USE-1"), gradients.graph),
    (tuple(f"DER-{i}" for i in range(21, 26)), surroundings.around),
    (("DER-13",), uses.precision),
    (("DER-14",), gradients.single),
    (tuple(uses.ROUTES), uses.hessian),
    (tuple(uses.EVENTS), uses.event),
    (tuple(uses.CHANGES), uses.changed),
    (("USE-5",), uses.changed_between),
)
