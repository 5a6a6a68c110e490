"""Cases: what is run. A claim on a subject and a problem; the claims of one pair are one unit of work."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import ALL
from odecheck.claims.find import found as named
from odecheck.errors import BadInput, NoDerivativeInTime
from odecheck.field_values.refusal import IN_TIME
from odecheck.foreign import said, words
from odecheck.instruments.surroundings import Surroundings
from odecheck.instruments.surroundings import seed as seeded
from odecheck.instruments.unit_of_work import kept_so_far, unit_of_work
from odecheck.judge import Verdict
from odecheck.record import Record, crashed, not_asked, refused, where
from odecheck.subject import SHIPPED, Subject

from . import presets as shipped
from .at_sight import cut_in_time, given_in
from .further import evaluated
from .given import PROBLEMS, SUBJECTS, listed
from .limits import OutOfTime
from .validation import validate

Key = tuple[str, str, str]
# what stands beside what does not hold where the field's derivative in time is not that of its values
CUT_IN_TIME = (
    "The field's own derivative in time is not that of its values, as where torch.tensor(t), t.item() or t.detach() is "
    "in forward: steps whose lengths are differentiated pass that on to every gradient. t itself in forward mends it."
)
# what stands beside a refutation by less than ROUNDED of the truth, of a field that was given in float32
OF_PIECES = (
    "The field was given in float32, so its numbers are rounded to 6e-8: a curve of pieces, a spline for instance, "
    "jumps by that where they meet, and an adjoint that integrates dF/dt sees no jump. Whether that is all: make its "
    "numbers, of a spline its times and its path, in float64, and ask again."
)
ROUNDED = 1e-5


@dataclass(frozen=True, eq=False)
class Case:
    """One claim on one subject and one problem.

    Args:
        subject: Of whom it is asked.
        problem: On what.
        claim: What is asked.
    """

    subject: Subject
    problem: Problem
    claim: Claim

    @property
    def name(self) -> str:
        """The names of its three parts: that of a test."""
        return f"{self.claim.id}-{self.problem.name}-{self.subject.name}"

    def run(self, seed: int = 0) -> Record:
        """Evaluate the claim, with torch on one thread, so that the same case gives the same bits everywhere.

        Args:
            seed: Of torch's, Python's and numpy's random numbers.

        Returns:
            Its record.

        Raises:
            KeyboardInterrupt: Of whoever waits, and none of the subject's.
        """
        with _reproducible(seed):
            try:
                return _explained(evaluated(self.claim, self.subject, self.problem), self.claim, self.problem)
            except (KeyboardInterrupt, OutOfTime, GeneratorExit):
                raise
            except BaseException as ended:  # sys.exit() of a subject, and what else is no Exception
                return crashed(self.claim, self.subject, self.problem, ending(ended))


@dataclass(frozen=True, eq=False)
class Unit:
    """All claims on one subject and one problem: the unit of work, because they share solutions.

    Args:
        subject: Of whom they are asked.
        problem: On what.
        claims: What is asked.
    """

    subject: Subject
    problem: Problem
    claims: tuple[Claim, ...]

    @property
    def cases(self) -> list[Case]:
        """A case for each claim."""
        return [Case(self.subject, self.problem, claim) for claim in self.claims]

    @property
    def keys(self) -> list[Key]:
        """The names of claim, subject and problem of each case, as `Record.key` has them."""
        subject, problem = words(self.subject.name), words(self.problem.name)
        return [(claim.id, subject, problem) for claim in self.claims]

    def without(self, done: Iterable[Key]) -> Unit:
        """What is left of it.

        Args:
            done: Keys of cases that have their records.

        Returns:
            A unit of the other claims, perhaps of none.
        """
        known = set(done)
        left = (claim for claim, key in zip(self.claims, self.keys, strict=True) if key not in known)
        return Unit(self.subject, self.problem, tuple(left))

    def run(self, *, seed: int = 0, validate: bool = True) -> Iterator[Record]:
        """Evaluate its claims; what they or the validation change of the process is put back after each of them.

        Args:
            seed: Of random numbers, set anew for each case.
            validate: Refuse bad input before the claims.

        Yields:
            One record after the other; those of a subject that is refused, or that crashes, say so.
        """
        kept, before = kept_so_far(), Surroundings()
        try:
            trouble = self.trouble(seed) if validate else []
            yield from trouble
            for case in self.without(record.key for record in trouble).cases:
                with unit_of_work(kept):
                    record = case.run(seed)
                before.restore()
                yield record
        finally:
            before.restore()

    def not_asked(self, why: str) -> list[Record]:
        """The records of its claims where there was no time for them.

        Args:
            why: In words.

        Returns:
            One for each claim.
        """
        return [not_asked(claim, self.subject, self.problem, why) for claim in self.claims]

    def trouble(self, seed: int = 0) -> list[Record]:
        """Validate, and say what came of it.

        Args:
            seed: Of random numbers.

        Returns:
            Nothing where its claims may be asked; else the record of each that may not: refused, or crashed on the way.
        """
        with _reproducible(seed):
            try:
                validate(self.subject, self.problem)
            except (KeyboardInterrupt, OutOfTime, GeneratorExit):
                raise
            except NoDerivativeInTime as reason:
                return self._asking_for_time.refused(reason)
            except BadInput as reason:
                return self.refused(reason)
            except BaseException as error:
                return self.crashed(f"before any claim: {ending(error)}\n{where(error)}")
        return []

    @property
    def _asking_for_time(self) -> Unit:
        """A unit of the claims that ask for the field's derivative in time."""
        return Unit(self.subject, self.problem, tuple(one for one in self.claims if not one.without_time))

    def refused(self, reason: BadInput) -> list[Record]:
        """The records of cases that cannot be verified.

        Args:
            reason: Why.

        Returns:
            A record with the verdict "error" for each claim.
        """
        return [refused(claim, self.subject, self.problem, reason) for claim in self.claims]

    def one_by_one(self) -> list[Unit]:
        """The same work in parts.

        Returns:
            A unit for each claim.
        """
        return [Unit(self.subject, self.problem, (claim,)) for claim in self.claims]

    def crashed(self, message: str) -> list[Record]:
        """The records of cases whose process died.

        Args:
            message: What is known of the end.

        Returns:
            A record with the verdict "error" for each claim.
        """
        return [crashed(claim, self.subject, self.problem, message) for claim in self.claims]


def _explained(record: Record, claim: Claim, problem: Problem) -> Record:
    """The same; where it does not hold, with what is known of the field that may have caused that."""
    of_pieces = given_in(problem) == "float32" and not claim.without_time and abs(record.ratio - 1.0) < ROUNDED
    if record.verdict is Verdict.REFUTED and of_pieces:
        record = replace(record, message=f"{record.message} {OF_PIECES}")
    if record.verdict not in (Verdict.REFUTED, Verdict.INCONCLUSIVE) or not cut_in_time(problem):
        return record
    decides = IN_TIME[1] if record.verdict is Verdict.INCONCLUSIVE else record.decides
    return replace(record, message=f"{record.message} {CUT_IN_TIME}", decides=decides)


def ending(error: BaseException) -> str:
    """What is known of an end that was no answer.

    Args:
        error: What was raised.

    Returns:
        In words, that it would have ended the process where it would.
    """
    if isinstance(error, SystemExit):
        return f"the subject ended its process: SystemExit({words(error.code, 300)})"
    return said(error)


@contextmanager
def _reproducible(seed: int) -> Generator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seeded(seed)
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
    """The units of a run, in order.

    Args:
        subjects: Subjects, each taken with every problem, or (subject, problem) pairs.
        problems: By default the shipped ones of the tier, for subjects with shipped fields.
        claims: What `odecheck.claims.find.found` takes: claims, ids, patterns, families, topics.
        tier: Of the shipped problems.

    Returns:
        One unit for each subject and problem.

    Raises:
        BadInput: An id of no claim, what is no subject or no problem, none at all, a subject with a field of its own
            and no problem, or two cases of one name.
    """
    asked = named(claims)
    given = None if problems is None else listed(problems, Problem, PROBLEMS)
    units: list[Unit] = []
    for item in listed(subjects, Subject, SUBJECTS):
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


def cases(
    subjects: Subjects,
    problems: Problem | Iterable[Problem] | None = None,
    claims: Claim | str | Iterable[Claim | str] = ALL,
) -> Iterator[Case]:
    """All cases of a run.

    Args:
        subjects: As in `plan`.
        problems: As in `plan`.
        claims: As in `plan`.

    Yields:
        Cases; those of one subject and problem come together, because they share solutions.
    """
    for unit in plan(subjects, problems, claims):
        yield from unit.cases
