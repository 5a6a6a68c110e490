"""What is asked about when nobody brings a subject: every method, every derivative, and reasons that are still met."""

from __future__ import annotations

import pytest
from odecheck_reference import catalogue

from odecheck.claims import ALL
from odecheck.runner.presets import TIERS, beside, for_modules, pairs, problems, subjects
from odecheck.solvers import ADAPTIVE, FIXED_STEP


def test_tiers_are_those_of_the_catalogue_and_no_others():
    assert set(TIERS) <= set(catalogue.TIERS)
    assert [p.name for p in problems("full")] == [p.name for p in catalogue.full()]
    for made in (problems, subjects):
        with pytest.raises(KeyError):
            made("middling")


def test_names_are_unique_and_known_failures_are_of_claims():
    ids = {claim.id for claim in ALL}
    for tier in TIERS:
        found = subjects(tier)
        assert len({subject.name for subject in found}) == len(found)
        assert all(set(subject.expected_failures) <= ids for subject in found)


def test_the_full_tier_has_every_method_with_both_derivatives():
    found = [(getattr(s.solver, "method", ""), s.engine.name) for s in subjects("full")]
    for method in (*ADAPTIVE, *FIXED_STEP):
        assert {(method, "torchdiffeq backprop"), (method, "torchdiffeq adjoint")} <= set(found)


def test_a_plain_module_is_verified_by_both_derivatives():
    assert [engine.target for _, engine in for_modules()] == ["steps", "flow"]


def test_the_quick_tier_asks_every_subject_about_every_problem():
    assert len(pairs("quick")) == len(subjects("quick")) * len(problems("quick"))


THREE = {"linear with time", "tanh network", "forced pendulum, backwards"}


def asked() -> list[tuple]:
    """All pairs of the full tier: those of all claims, and those of a few."""
    return [*pairs("full"), *((one.subject, one.problem) for one in beside("full"))]


def test_the_full_tier_leaves_out_no_subject_no_problem_and_no_derivative():
    """Every subject is asked, every method about three problems, and every problem with every derivative."""
    engines = {s.engine.name for s in subjects("full")}
    assert {s.name for s, _ in asked()} >= {s.name for s in subjects("full")}
    for solver in {s.solver.name for s in subjects("full")}:
        assert {p.name for s, p in asked() if s.solver.name == solver} >= THREE
    for problem in problems("full"):
        those = [s for s, p in pairs("full") if p.name == problem.name]
        assert {s.engine.name for s in those} == engines
        assert {s.solver.stepping for s in those} == (
            {"adaptive"} if problem.name == "Lorenz" else {"adaptive", "fixed"}
        )


def test_no_pair_of_the_full_tier_is_there_twice():
    everything = {(s.name, p.name) for s, p in pairs("full")}
    few = [(one.subject.name, one.problem.name, one.claims) for one in beside("full")]
    assert len(everything) == len(pairs("full")) == 94
    assert len(set(few)) == len(few)
    assert not everything & {(subject, problem) for subject, problem, _ in few}


def test_a_coarse_method_is_asked_for_what_it_can_decide():
    """Errors of 1e-5 decide an order, and no derivative to 1e-7."""
    everything = {s.solver.name for s, _ in pairs("full")}
    few = {one.subject.solver for one in beside("full") if one.claims[0] == "SOL-3"}
    assert {solver.method for solver in few} == {
        "adaptive_heun", "bosh3", "fehlberg2", "euler", "midpoint", "heun2", "heun3", "explicit_adams"
    }  # fmt: skip
    assert not everything & {solver.name for solver in few}


def test_what_is_known_to_fail_of_a_method_has_a_case_of_the_full_tier():
    """Reasons of a method are asked where they were met: of the first derivative through it, about three problems."""
    for solver in {s.solver.name for s in subjects("full") if s.expected_failures}:
        mine = [(s, p) for s, p in asked() if s.solver.name == solver and s.expected_failures]
        assert {p.name for _, p in mine} >= THREE
