"""A check without a mutant is not a check: every claim refutes every one of its mutants, for every engine.

And the other way round: the same claims hold for the right subject on the same problems, so that nothing is
refuted by a claim that refutes everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from odecheck_reference import Bounded, Problem, catalogue

from odecheck.claim import Claim, Mutant, claim, family
from odecheck.claims import ALL, SOL, claims_of
from odecheck.claims.papers import node
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants.derivatives import scaled
from odecheck.problem_sets.families import draw, families_of
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

ENGINES = {"backprop": Backprop(), "adjoint": Adjoint(), "closed": Closed(), "discrete": Discrete()}
SOLVERS = (Adaptive("dopri5", rtol=1e-7, land=True), FixedStep("midpoint", step=0.05))
PROBLEMS = catalogue.quick()


def bitten_elsewhere() -> set[str]:
    """Ids of the claims that a test file beside this one bites on problems of its own: it says so in `BITTEN`."""
    here = Path(__file__).parent
    places = [path.relative_to(here).with_suffix("") for path in here.rglob("test_*.py") if path != Path(__file__)]
    modules = [import_module(f"{__package__}.{'.'.join(place.parts)}") for place in places]
    return {claim.id for module in modules for claim in getattr(module, "BITTEN", ())}


GENERAL = [c for c in ALL if c.family in (SOL, node.NODE) and c.id not in bitten_elsewhere()]
# every other claim, of families that nobody has thought of yet as well
REST = [c for c in ALL if c not in GENERAL and c.id not in bitten_elsewhere()]


# a claim that an engine cannot be asked: it has no outputs between the ends of its steps
UNASKED = {("SOL-4", "discrete")}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in GENERAL for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant, engine: str) -> None:
    """On the first solver and problem on which it can; where nothing can be asked, that is known."""
    asked = False
    for problem, solver in product(PROBLEMS, SOLVERS):
        try:
            wrong = mutant(Subject(SHIPPED, solver, ENGINES[engine]))
        except NotApplicable:
            continue
        record = evaluate(claim, wrong, problem)
        assert record.verdict != Verdict.ERROR, record
        if record.verdict == Verdict.REFUTED:
            return
        asked |= record.verdict not in (Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE)
    assert not asked, f"{claim.id} does not see: {mutant.name}"
    assert (claim.id, engine) in UNASKED


def candidates(claim: Claim) -> Iterator[tuple[Subject, Problem]]:
    """Right subjects and problems, cheapest first: one on which the mutant is refuted and the right subject holds."""
    drawn = [draw(name) for name in families_of(*claim.family.drawn)]
    for engine, solver in product((Backprop(), Closed(), Discrete()), SOLVERS):
        for problem in (*drawn, *PROBLEMS):
            yield Subject(SHIPPED, solver, engine), problem


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in REST for m in c.mutants]
)
def test_a_claim_that_no_other_test_bites_refutes_its_mutants(claim: Claim, mutant: Mutant) -> None:
    for right, problem in candidates(claim):
        try:
            wrong = mutant(right)
        except NotApplicable:
            continue
        record = evaluate(claim, wrong, problem)
        assert record.verdict != Verdict.ERROR, record
        if record.verdict == Verdict.REFUTED and evaluate(claim, right, problem).verdict == Verdict.HOLDS:
            return
    pytest.fail(f"{claim.id} does not see: {mutant.name}")


@pytest.mark.parametrize("part", ["y0", "theta", "ts"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_defect_of_1e_8_is_refuted_at_tight_tolerances(part: str, engine: str) -> None:
    subject = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-12, land=True), ENGINES[engine])
    speaks = {"y0": node.adjoint_equation, "theta": node.parameter_gradient, "ts": node.time_gradient}[part]
    problem = PROBLEMS[0]
    right = evaluate(speaks, subject, problem)
    assert right.verdict == Verdict.HOLDS, right
    assert right.resolved < 1e-8, right
    wrong = evaluate(speaks, scaled(part, 1 + 1e-8)(subject), problem)  # type: ignore[arg-type]
    assert wrong.verdict == Verdict.REFUTED, wrong
    assert wrong.ratio == pytest.approx(1 + 1e-8, abs=1e-9)


def test_a_claim_without_mutants_is_refused() -> None:
    with pytest.raises(ValueError, match="has no mutant"):
        claim("SOL-99", source="", resolution=1.0, mutants=[])


def test_a_claim_without_words_is_refused() -> None:
    def silent(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        return Bounded(1.0), Bounded(1.0)

    with pytest.raises(ValueError, match="docstring"):
        claim("SOL-99", source="", resolution=1.0, mutants=[scaled("y0", 2.0)])(silent)


def test_a_claim_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is of no family.*family\\('LIN'"):
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


def test_two_claims_of_one_id_are_refused() -> None:
    one, other = ModuleType("one"), ModuleType("other")
    for module in (one, other):
        twin = replace(node.parameter_gradient, statement=_named_in(module))
        vars(module)["twin"] = twin
    with pytest.raises(ValueError, match="two claims NODE-2"):
        claims_of([one, other])


def _named_in(module: ModuleType) -> Any:
    def statement(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        """One is one."""
        return Bounded(1.0), Bounded(1.0)

    statement.__module__ = module.__name__
    return statement


def test_a_subject_that_is_too_coarse_is_inconclusive_not_green() -> None:
    coarse = Subject(SHIPPED, FixedStep("euler", step=0.05), Adjoint())
    record = evaluate(node.parameter_gradient, coarse, PROBLEMS[0])
    assert record.verdict == Verdict.INCONCLUSIVE, record


def test_an_expected_failure_is_strict() -> None:
    subject = Subject(SHIPPED, SOLVERS[0], Adjoint(), expected_failures={"NODE-2": "believed to fail"})
    record = evaluate(node.parameter_gradient, subject, PROBLEMS[0])
    assert record.verdict == Verdict.HOLDS
    assert not record.ok
    broken = replace(scaled("theta", -1.0)(subject), expected_failures=subject.expected_failures)
    assert evaluate(node.parameter_gradient, broken, PROBLEMS[0]).ok
