"""A claim: one executable statement, its source, and the wrong subjects that it has to refute."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from odecheck_reference import Bounded, Problem

from odecheck.errors import NotApplicable

from .judge import Verdict
from .subject import Subject

Statement = Callable[[Subject, Problem], tuple[Bounded, Bounded]]


@dataclass(frozen=True)
class Mutant:
    """A deliberately wrong subject, made from a right one. Raises NotApplicable where it would change nothing."""

    name: str
    apply: Callable[[Subject], Subject] = field(hash=False, compare=False)

    def __call__(self, subject: Subject) -> Subject:
        return self.apply(subject)


@dataclass(frozen=True, eq=False)
class Condition:
    """Under which a statement is true, in words, and whether a problem meets it, worked out from the reference.

    `met` raises NotApplicable for problems that the claim does not speak of.
    """

    text: str
    met: Callable[[Problem], bool]


@dataclass(frozen=True, eq=False)
class Claim:
    """statement(subject, problem) → (observed, expected); the judge does the rest.

    resolution: the largest relative defect that may stay unseen in a verdict "holds". scale: what the defect is
    relative to, by default the largest expected component. expect: the verdict expected of a correct subject;
    REFUTED for a sentence that is false when read literally. when: a condition under which the statement is true
    and without which it is not, so that it is tested on both sides.
    """

    id: str
    statement: Statement
    source: str
    resolution: float
    mutants: tuple[Mutant, ...]
    scale: float | None = None
    expect: Verdict = Verdict.HOLDS
    when: Condition | None = None

    def expected(self, problem: Problem) -> Verdict:
        """The verdict expected of a correct subject on this problem."""
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
    def function(self) -> str:
        return self.statement.__name__

    def __reduce__(self) -> tuple[Callable[..., Claim], tuple[str, str]]:
        # a claim stands in its module under its statement's name: that is how another process finds it
        return _named, (self.statement.__module__, self.statement.__qualname__)


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
) -> Callable[[Statement], Claim]:
    """Make a claim of a function (subject, problem) → (observed, expected).

    Raises ValueError when there is no mutant or no docstring: without a mutant nobody knows that the check can fail.
    """
    if not mutants:
        raise ValueError(
            f"claim {id} has no mutant. Without a wrong subject that it has to refute, nobody knows that "
            "it can fail: give mutants=[...], see odecheck/mutants.py"
        )

    def define(statement: Statement) -> Claim:
        if not inspect.getdoc(statement):
            raise ValueError(f"claim {id} has no docstring: its first paragraph is the statement that people read")
        return Claim(id, statement, source, resolution, tuple(mutants), scale, expect, when)

    return define
