"""Cases: what is run. A claim on a subject and a problem; the claims of one pair are one unit of work."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import ALL
from odecheck.errors import BadInput
from odecheck.instruments.unit_of_work import kept_so_far, unit_of_work
from odecheck.record import Record, crashed, evaluate
from odecheck.subject import SHIPPED, Subject

from . import presets as shipped
from .validation import validate

Key = tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class Case:
    """One claim on one subject and one problem."""

    subject: Subject
    problem: Problem
    claim: Claim

    @property
    def name(self) -> str:
        return f"{self.claim.id}-{self.problem.name}-{self.subject.name}"

    def run(self, seed: int = 0) -> Record:
        """Evaluate the claim, with torch on one thread, so that the same case gives the same bits everywhere."""
        with _reproducible(seed):
            return evaluate(self.claim, self.subject, self.problem)


@dataclass(frozen=True, eq=False)
class Unit:
    """All claims on one subject and one problem: the unit of work, because they share solutions."""

    subject: Subject
    problem: Problem
    claims: tuple[Claim, ...]

    @property
    def cases(self) -> list[Case]:
        return [Case(self.subject, self.problem, claim) for claim in self.claims]

    @property
    def keys(self) -> list[Key]:
        return [(claim.id, self.subject.name, self.problem.name) for claim in self.claims]

    def without(self, done: Iterable[Key]) -> Unit:
        known = set(done)
        left = (claim for claim, key in zip(self.claims, self.keys, strict=True) if key not in known)
        return Unit(self.subject, self.problem, tuple(left))

    def run(self, *, seed: int = 0, validate: bool = True) -> Iterator[Record]:
        """One record after the other. Raises BadInput where validation refuses it."""
        kept = kept_so_far()
        if validate:
            self.validate(seed)
        for case in self.cases:
            with unit_of_work(kept):
                record = case.run(seed)
            yield record

    def validate(self, seed: int = 0) -> None:
        """Raises BadInput where validation refuses it."""
        with _reproducible(seed):
            validate(self.subject, self.problem)

    def one_by_one(self) -> list[Unit]:
        """A unit for each claim."""
        return [Unit(self.subject, self.problem, (claim,)) for claim in self.claims]

    def crashed(self, message: str) -> list[Record]:
        """The records of cases whose process died."""
        return [crashed(claim, self.subject, self.problem, message) for claim in self.claims]


@contextmanager
def _reproducible(seed: int) -> Generator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


Subjects = Subject | Iterable[Subject | tuple[Subject, Problem]]


def plan(
    subjects: Subjects,
    problems: Problem | Iterable[Problem] | None = None,
    claims: Claim | str | Iterable[Claim | str] = ALL,
    *,
    tier: str = "quick",
) -> list[Unit]:
    """The units of a run, in order; see `check`. tier: of the shipped problems, where `problems` is None."""
    asked = named_claims(claims)
    given = None if problems is None else (problems,) if isinstance(problems, Problem) else tuple(problems)
    units: list[Unit] = []
    for item in (subjects,) if isinstance(subjects, Subject) else subjects:
        if isinstance(item, Subject):
            units += [Unit(item, problem, asked) for problem in (_of_shipped(item, tier) if given is None else given)]
        else:
            units.append(Unit(item[0], item[1], asked))
    keys = [key for unit in units for key in unit.keys]
    twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if twice:
        raise BadInput(
            f"two cases are called {' / '.join(twice)}",
            "two subjects, or two problems, of one name",
            "Subject(..., label='a name of its own'), Problem('a name of its own', ...)",
        )
    return units


def _of_shipped(subject: Subject, tier: str) -> tuple[Problem, ...]:
    if subject.field is not SHIPPED:
        raise BadInput(
            f"no problem for subject {subject.name!r}, which has a field of its own",
            "problems was left out",
            "check(subjects, problems=[Problem(...)])",
        )
    return shipped.problems(tier)


def named_claims(claims: Claim | str | Iterable[Claim | str]) -> tuple[Claim, ...]:
    """Claims, or the shipped claims of these ids. Raises BadInput for an id that does not exist."""
    known = {claim.id: claim for claim in ALL}
    found: list[Claim] = []
    for item in (claims,) if isinstance(claims, Claim | str) else claims:
        if isinstance(item, str) and item.upper() not in known:
            raise BadInput(
                f"there is no claim {item!r}",
                "a misspelt id",
                f"one of {', '.join(known)} (odecheck claims lists them)",
            )
        found.append(item if isinstance(item, Claim) else known[item.upper()])
    return tuple(found)


def cases(
    subjects: Subjects,
    problems: Problem | Iterable[Problem] | None = None,
    claims: Claim | str | Iterable[Claim | str] = ALL,
) -> Iterator[Case]:
    """All cases; those of one subject and problem come together, because they share solutions."""
    for unit in plan(subjects, problems, claims):
        yield from unit.cases
