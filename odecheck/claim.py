"""A claim: one executable statement, its source, and the wrong subjects that it has to refute."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from odecheck_reference import Bounded, Problem

from odecheck.errors import NotApplicable

from .judge import Verdict
from .subject import Subject

Kind = Literal["solution", "derivatives", "second derivatives"]
Statement = Callable[[Subject, Problem], tuple[Bounded, Bounded]]
Prediction = Callable[[Subject, Problem], Bounded]


@dataclass(frozen=True)
class Mutant:
    """A deliberately wrong subject, made from a right one.

    Args:
        name: What is wrong with it, in words.
        apply: A right subject ↦ the wrong one. Raises NotApplicable where it would change nothing.
    """

    name: str
    apply: Callable[[Subject], Subject] = field(hash=False, compare=False)

    def __call__(self, subject: Subject) -> Subject:
        """The wrong subject. Raises NotApplicable where it would be the right one."""
        return self.apply(subject)


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition under which a statement is true, and without which it is not.

    Args:
        text: The condition in words.
        met: Whether a problem meets it, worked out from the reference. Raises NotApplicable for problems that the claim
            does not speak of.
    """

    text: str
    met: Callable[[Problem], bool]


@dataclass(frozen=True)
class Family:
    """Claims that belong together: of one paper, or about one topic of solver libraries.

    Args:
        id: The beginning of the claims' ids: "HB" of HB-1.
        title: What the family is about, as the heading of a table.
        order: Its place among families; where two have the same, the id decides.
        topic: What `odecheck conformance` asks of a library under this name, or empty.
        drawn: Patterns as of file names; the ledger judges the family on the drawn problems whose names match one.
            Empty: the family is no paper's, and has no rows in the ledger.
        speaks_of: What a subject has to have for it: a solution, first or second derivatives.
        alone: Why its claims are kept although general claims refute what they refute, or empty.
        page: Of the documentation, which has a section for each of its claims that are of the papers, or empty.

    Raises:
        ValueError: An id that is not of letters and digits, or an empty title.
    """

    id: str
    title: str
    order: int = 1_000
    topic: str = ""
    drawn: tuple[str, ...] = ()
    speaks_of: Kind = "derivatives"
    alone: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        if not self.id.isalnum() or not self.title.strip():
            raise ValueError(
                f"a family of claims has the id {self.id!r} and the title {self.title!r}: the id is of letters and "
                'digits, and the title says what its claims are about: family("MINE", title="My own model")'
            )


FAMILIES: dict[str, Family] = {}
"""Every family that was declared, by its id."""


def family(
    id: str,
    *,
    title: str,
    order: int = 1_000,
    topic: str = "",
    drawn: Sequence[str] = (),
    speaks_of: Kind = "derivatives",
    alone: str = "",
    page: str = "",
) -> Family:
    """Declare a family of claims.

    Args:
        id: The beginning of the claims' ids; this and the others are those of `Family`.
        title: What the family is about, as the heading of a table.
        order: Its place among families.
        topic: What `odecheck conformance` asks of a library under this name, or empty.
        drawn: Patterns of the names of drawn problems on which the ledger judges it.
        speaks_of: What a subject has to have for it.
        alone: Why its claims are kept although general claims refute what they refute, or empty.
        page: Of the documentation, which has a section for each of its claims that are of the papers, or empty.

    Returns:
        The family, which is also in `FAMILIES`.

    Raises:
        ValueError: Another family has this id, or its id or title is none.
    """
    made = Family(id, title, order, topic, tuple(drawn), speaks_of, alone, page)
    if FAMILIES.setdefault(id, made) != made:
        raise ValueError(
            f"there are two families of claims {id!r}: {FAMILIES[id].title!r} and {title!r}. Give one another id."
        )
    return made


@dataclass(frozen=True, eq=False)
class Claim:
    """One executable statement; the judge does the rest. Made by `claim`.

    Args:
        id: Its family's id, a hyphen and a number.
        statement: (subject, problem) → (observed, expected), each with its bar and of one shape.
        source: Where it is stated: a paper's section or equation, or a definition.
        resolution: The largest relative defect that may stay unseen in a verdict "holds".
        mutants: The wrong subjects that it has to refute.
        scale: What the defect is relative to, by default the largest expected component.
        expect: The verdict expected of a correct subject; REFUTED for a sentence that is false when read literally.
        when: A condition under which the statement is true and without which it is not, so that it is tested on both
            sides.
        of_libraries: A claim of the papers that `odecheck conformance` asks of every library as well.
        predicted: What a right subject gives where the statement is false, with its bar: it is off by a residual that
            is known, and any other residual is a refutation of the subject.
        without_time: It speaks of no derivative of the field in time, so a field is let in where that alone is off:
            torch.tensor(t) in its forward.
        shares: Claims of the same word rest on the same solves of a subject: with little time they are asked together.
    """

    id: str
    statement: Statement
    source: str
    resolution: float
    mutants: tuple[Mutant, ...]
    scale: float | None = None
    expect: Verdict = Verdict.HOLDS
    when: Condition | None = None
    of_libraries: bool = False
    predicted: Prediction | None = None
    without_time: bool = False
    shares: str = ""

    @property
    def family(self) -> Family:
        """The family that its id begins with."""
        return family_of(self.id)

    def expected(self, problem: Problem) -> Verdict:
        """The verdict expected of a correct subject on a problem.

        Args:
            problem: Which may meet the claim's condition, or not.

        Returns:
            `expect` of a claim without a condition, or where it does not apply; otherwise HOLDS or REFUTED.
        """
        if self.when is None:
            return self.expect
        try:
            return Verdict.HOLDS if self.when.met(problem) else Verdict.REFUTED
        except NotApplicable:
            return self.expect

    @property
    def text(self) -> str:
        """The statement in words: the first paragraph of its docstring."""
        return " ".join((inspect.getdoc(self.statement) or "").split("\n\n")[0].split())

    @property
    def title(self) -> str:
        """What it is about, in a few words: the name of the function that states it."""
        return self.function.replace("_", " ").strip()

    @property
    def function(self) -> str:
        """The name of the function that states it."""
        return self.statement.__name__

    def __reduce__(self) -> tuple[Callable[..., Claim], tuple[str, str]]:
        # a claim stands in its module under its statement's name: that is how another process finds it
        return _named, (self.statement.__module__, self.statement.__qualname__)


def family_of(id: str) -> Family:
    """The family of a claim's id.

    Args:
        id: Its family's id, a hyphen and a number.

    Returns:
        The family that was declared under the beginning of the id.

    Raises:
        ValueError: None was declared.
    """
    begin, _, number = id.partition("-")
    if begin not in FAMILIES or not number:
        raise ValueError(
            f"the claim {id!r} is of no family: its id begins with none of {', '.join(sorted(FAMILIES))} and a hyphen. "
            f'Declare one before it: family({begin!r}, title="what its claims are about")'
        )
    return FAMILIES[begin]


def loosely(id: str) -> str:
    """An id as people type it: NODE2, node-2 and "Node 2" are the same.

    Args:
        id: As it was typed.

    Returns:
        What is the same for all of these, and for no two claims.
    """
    return "".join(c for c in id.upper() if c not in " -_")


def reading_order(id: str) -> tuple[int, str, tuple[int, ...]]:
    """What ids are sorted by: by family, then by number, SOL-1.1 after SOL-1.

    Args:
        id: A claim's id; one of no family comes last.

    Returns:
        A key to sort by.
    """
    begin, _, number = id.partition("-")
    order = FAMILIES[begin].order if begin in FAMILIES else sys.maxsize
    return order, begin, tuple(int(part) for part in number.split(".") if part.isdigit())


def _named(module: str, name: str) -> Claim:
    return getattr(importlib.import_module(module), name)


def claim(
    id: str,
    *,
    source: str,
    resolution: float,
    mutants: Sequence[Mutant],
    scale: float | None = None,
    expect: Verdict = Verdict.HOLDS,
    when: Condition | None = None,
    of_libraries: bool = False,
    predicted: Prediction | None = None,
    without_time: bool = False,
    shares: str = "",
) -> Callable[[Statement], Claim]:
    """Make a claim of a function (subject, problem) → (observed, expected): a decorator.

    Args:
        id: Its family's id, a hyphen and a number; this and the others are those of `Claim`.
        source: Where it is stated.
        resolution: The largest relative defect that may stay unseen in a verdict "holds".
        mutants: The wrong subjects that it has to refute.
        scale: What the defect is relative to, by default the largest expected component.
        expect: The verdict expected of a correct subject.
        when: A condition under which the statement is true and without which it is not.
        of_libraries: Whether `odecheck conformance` asks it of every library as well.
        predicted: What a right subject gives where the statement is false.
        without_time: Whether it speaks of no derivative of the field in time.
        shares: A word that claims have in common which rest on the same solves.

    Returns:
        A decorator: the function, whose docstring's first paragraph is the statement in words, becomes the claim.

    Raises:
        ValueError: There is no mutant, without which nobody knows that the check can fail; the function has no
            docstring; the id begins with no family's; or it may be false and predicts no residual.
    """
    family_of(id)
    if not mutants:
        raise ValueError(
            f"claim {id} has no mutant. Without a wrong subject that it has to refute, nobody knows that "
            "it can fail: give mutants=[...], see odecheck/mutants"
        )

    if (expect is Verdict.REFUTED or when is not None) and predicted is None:
        raise ValueError(
            f"claim {id} may be false as it reads, and does not say by how much. Any wrong subject would then be as "
            "expected: give predicted=, a function of subject and problem with what a right subject gives"
        )

    def define(statement: Statement) -> Claim:
        if not inspect.getdoc(statement):
            raise ValueError(f"claim {id} has no docstring: its first paragraph is the statement that people read")
        return Claim(
            id,
            statement,
            source,
            resolution,
            tuple(mutants),
            scale,
            expect,
            when,
            of_libraries,
            predicted,
            without_time,
            shares,
        )

    return define
