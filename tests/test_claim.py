"""A claim without mutants, words or a family is refused; ids are read in order; a claim is found by its name."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from odecheck_reference import Bounded, Problem, catalogue

from odecheck.claim import Condition, claim, family, family_of, reading_order
from odecheck.claims import SOL
from odecheck.claims.papers import node
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants.derivatives import scaled
from odecheck.subject import Subject

PROBLEM = catalogue.quick()[0]


def test_a_claim_without_mutants_is_refused() -> None:
    with pytest.raises(ValueError, match="has no mutant"):
        claim("SOL-99", source="", resolution=1.0, mutants=[])


def test_a_claim_without_words_is_refused() -> None:
    def silent(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        return Bounded(1.0), Bounded(1.0)

    with pytest.raises(ValueError, match="docstring"):
        claim("SOL-99", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])(silent)


def test_a_claim_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is of no family.*family\('LIN'"):
        claim("LIN-1", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])
    with pytest.raises(ValueError, match="is of no family"):
        claim("SOL", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])


def test_two_families_of_one_id_are_refused() -> None:
    assert (
        family("SOL", title=SOL.title, **{k: v for k, v in vars(SOL).items() if k not in ("id", "title")}) is not None
    )
    with pytest.raises(ValueError, match="two families"):
        family("SOL", title="something else")
    with pytest.raises(ValueError, match="title says"):
        family("LIN", title=" ")


def test_ids_are_read_by_family_and_number():
    ids = ["X-1", "SOL-10", "NODE-1", "SOL-2", "SOL-1.1", "SOL-1"]
    assert sorted(ids, key=reading_order) == ["SOL-1", "SOL-1.1", "SOL-2", "SOL-10", "NODE-1", "X-1"]
    assert family_of("SOL-1.1") is SOL and node.time_gradient.family is node.NODE


def test_the_text_is_the_first_paragraph_of_the_docstring():
    def statement(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        """One is
        one.

        Because it is.
        """
        return Bounded(1.0), Bounded(1.0)

    made = claim("SOL-99", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])(statement)
    assert (made.text, made.function) == ("One is one.", "statement")


def test_another_process_finds_a_claim_by_its_name():
    assert pickle.loads(pickle.dumps(node.time_gradient)) is node.time_gradient


def test_what_is_expected_follows_the_condition():
    def refused(problem: Problem) -> bool:
        raise NotApplicable("of no batch")

    met, unmet, apart = (Condition("words", met) for met in (lambda _: True, lambda _: False, refused))
    plain = node.time_gradient
    assert plain.expected(PROBLEM) == Verdict.HOLDS
    assert replace(plain, expect=Verdict.REFUTED).expected(PROBLEM) == Verdict.REFUTED
    assert [replace(plain, when=when).expected(PROBLEM) for when in (met, unmet, apart)] == [
        Verdict.HOLDS,
        Verdict.REFUTED,
        Verdict.HOLDS,
    ]
