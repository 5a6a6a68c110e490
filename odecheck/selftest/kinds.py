"""Kinds of mistakes by families, each where a claim sees them: a right subject on a problem, and wrong ones made of it.

The battery asks what the papers state. Here stands the rest: what a field says by its values alone, number types,
many outputs, starts, the very steps, what a tolerance promises, features that steps pass over. The right subject of a
kind has to get the verdict that the claim expects, otherwise nothing that is refuted beside it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from odecheck_reference import Problem
from odecheck_reference.fields import Mlp
from odecheck_reference.hard_problem import at_the_end

from odecheck.claim import Claim, Mutant
from odecheck.claims import EVERY
from odecheck.engines.own import Closed
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.mutants.second_order import DOUBLED_SQUARES
from odecheck.problem_sets import conformance as posed
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

from . import battery
from .battery import Case
from .crossed_solves import long_steps

STEPS = Subject(SHIPPED, FixedStep("rk4", step=0.125), Backprop())
SHORT_STEPS = Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop())
ADAPTIVE = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop())
ADJOINT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint())
OWN = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-5), Closed())
# the pulse of `narrow` takes 0.02 of an interval of 4
WATCHFUL = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8, options={"max_step": 2.0**-7}), Backprop())


@cache
def narrow() -> Problem:
    """A pulse that steps chosen by error pass over: y' = 10 tanh((t − 2.9) / w) − 10 tanh((t − 2.92) / w) + 1/4."""
    width = 0.005
    theta = np.array([0.0, 1 / width, 0.0, 1 / width, -2.9 / width, -2.92 / width, 10.0, -10.0, 0.25])
    return at_the_end("a narrow pulse", Mlp(1, 1, (2,), time=True), [[1.0]], theta.tolist(), (0.0, 4.0))


@dataclass(frozen=True)
class Kind:
    """Claims that see one kind of mistakes.

    Attributes:
        family: what the mistakes are about.
        claims: ids.
        subject: the right one.
        problem: what it is asked on.
        quick: whether the small selection of `odecheck selftest --quick` has it.
        mutants: wrong subjects, in place of those that the claims name.
    """

    family: str
    claims: tuple[str, ...]
    subject: Subject
    problem: Callable[[], Problem] = posed.network
    quick: bool = True
    mutants: tuple[Mutant, ...] = field(default=(), hash=False)

    def cases(self) -> Iterator[Case]:
        """One for each claim."""
        problem = self.problem()
        for claim in EVERY:
            if claim.id in self.claims:
                yield Case(claim, self.subject, problem)

    def wrong(self, claim: Claim) -> tuple[Mutant, ...]:
        """The wrong subjects that a claim of it has to refute."""
        return self.mutants or claim.mutants

    @property
    def key(self) -> str:
        """Its name in a journal, and in a report."""
        return f"{self.family}: {', '.join(self.claims)}"


VALUES, MEMORY, NARROW = "derivatives of a field", "fields that remember", "features that steps pass over"
OUTPUTS, TIMES, STARTS = "many outputs", "times and directions", "starts"
TYPES, SHAPES, PARAMETERS = "number types", "shapes of a state", "parameters"
VERY_STEPS, TOLERANCES, ERRATIC = "the very steps", "what a tolerance promises", "erratic rungs"
REFRESHES, FALSE, SECOND = "refreshes of curvature", "sentences that are false as read", "second derivatives"
ANSWERS, SIZES, USE = "answers of an engine", "sizes of a state", "what users do with a solve"

KINDS: tuple[Kind, ...] = (
    Kind(NARROW, ("SOL-2",), WATCHFUL, narrow, mutants=long_steps((None,))),
    Kind(NARROW, ("DER-7",), STEPS, posed.at_rest),
    Kind(NARROW, ("DER-9",), OWN, posed.switched),
    Kind(NARROW, ("DER-8",), OWN, posed.switched, quick=False),
    Kind(VALUES, ("SOL-1.1", "SOL-1.2", "SOL-1.4", "SOL-1.5"), STEPS),
    Kind(MEMORY, ("SOL-1.3", "SOL-9"), STEPS),
    Kind(SIZES, ("SOL-1.6", "SOL-21"), SHORT_STEPS),
    Kind(OUTPUTS, ("SOL-13", "SOL-19"), SHORT_STEPS),
    Kind(OUTPUTS, ("SOL-20",), STEPS),
    Kind(OUTPUTS, ("DER-20",), STEPS, quick=False),
    Kind(OUTPUTS, ("DER-18", "DER-19"), OWN),
    Kind(TIMES, ("SOL-14",), STEPS),
    Kind(TIMES, ("DER-2", "DER-5", "DER-6"), OWN),
    Kind(TIMES, ("DER-1", "DER-4"), SHORT_STEPS, quick=False),
    Kind(TIMES, ("DER-3",), battery.FIXED, quick=False),
    Kind(STARTS, ("DER-24", "DER-25"), STEPS),
    Kind(TYPES, ("SOL-15", "DER-13", "DER-14"), STEPS),
    Kind(TYPES, ("DER-23",), OWN),
    Kind(SHAPES, ("SOL-16", "SOL-17", "DER-15", "DER-16"), STEPS),
    Kind(SHAPES, ("SOL-8",), STEPS, posed.linear),
    Kind(SHAPES, ("DER-22",), ADAPTIVE),
    Kind(PARAMETERS, ("DER-10", "DER-11", "DER-12", "DER-21"), STEPS),
    Kind(VERY_STEPS, ("SOL-10", "SOL-11", "STEP-1", "STEP-2", "STEP-3"), STEPS),
    Kind(VERY_STEPS, ("SOL-12",), STEPS, posed.decay),
    Kind(VERY_STEPS, ("STEP-4",), ADAPTIVE, posed.linear),
    Kind(TOLERANCES, ("SOL-5", "STEP-6"), ADAPTIVE, posed.linear),
    Kind(TOLERANCES, ("STEP-5", "STEP-7"), ADAPTIVE),
    Kind(TOLERANCES, ("SOL-18", "DER-17"), OWN, quick=False),
    Kind(ERRATIC, ("SOL-2", "NODE-1", "NODE-2"), OWN),
    Kind(REFRESHES, ("OPT-1", "OPT-4", "OPT-6"), ADJOINT),
    Kind(REFRESHES, ("OPT-2", "OPT-3", "OPT-5", "OPT-7"), ADJOINT, quick=False),
    Kind(FALSE, ("SNOPT-11",), battery.CLOSED, mutants=(DOUBLED_SQUARES,)),
    Kind(ANSWERS, ("SOL-1", "SOL-6", "SOL-7", "NODE-4", "NODE-5"), STEPS),
    Kind(ANSWERS, ("NODE-3",), OWN),
    Kind(ANSWERS, ("FLOW-1",), STEPS, quick=False),
    Kind(SECOND, ("HES-2", "HES-5", "HES-7"), STEPS, posed.curved),
    Kind(SECOND, ("HES-1", "HES-4", "HES-6"), STEPS, posed.curved, quick=False),
    Kind(USE, ("USE-1", "USE-2", "USE-3", "USE-4", "USE-5", "USE-6"), STEPS),
)
