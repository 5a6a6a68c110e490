"""Cases (a claim on a subject and a problem), and how they are run: one record each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from odecheck_reference import Problem

from .claim import Claim
from .claims import ALL
from .record import Record, evaluate
from .subject import Subject


@dataclass(frozen=True, eq=False)
class Case:
    """One claim on one subject and one problem."""

    subject: Subject
    problem: Problem
    claim: Claim

    @property
    def name(self) -> str:
        return f"{self.claim.id}-{self.problem.name}-{self.subject.name}"

    def run(self) -> Record:
        return evaluate(self.claim, self.subject, self.problem)


def cases(subjects: Iterable[Subject], problems: Iterable[Problem], claims: Iterable[Claim] = ALL) -> Iterator[Case]:
    """All combinations; the cases of one subject and problem come together, because they share solutions."""
    for subject, problem, claim in product(subjects, problems, claims):
        yield Case(subject, problem, claim)
