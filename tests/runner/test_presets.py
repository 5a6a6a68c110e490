"""What is asked about when nobody brings a subject: every method, every derivative, and reasons that are still met."""

from __future__ import annotations

import pytest
from odecheck_reference import catalogue

from odecheck.claims import ALL
from odecheck.runner.presets import TIERS, for_modules, pairs, problems, subjects
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


def test_the_full_tier_leaves_out_no_subject_no_problem_and_no_derivative():
    """Every subject is asked, every method about three problems, and every problem with every derivative."""
    found = {(s.name, p.name) for s, p in pairs("full")}
    engines = {s.engine.name for s in subjects("full")}
    assert {name for name, _ in found} == {s.name for s in subjects("full")}
    for solver in {s.solver.name for s in subjects("full")}:
        asked = {p.name for s, p in pairs("full") if s.solver.name == solver}
        assert {"linear with time", "tanh network", "forced pendulum, backwards"} <= asked
    for problem in problems("full"):
        asked = [s for s, p in pairs("full") if p.name == problem.name]
        assert {s.engine.name for s in asked} == engines
        assert {s.solver.stepping for s in asked} == {"adaptive", "fixed"}
    assert len(found) == len(pairs("full")) == 127


def test_what_is_known_to_fail_of_a_method_has_a_case_of_the_full_tier():
    """Reasons of a method are asked where they were met: of the first derivative through it, about three problems."""
    for solver in {s.solver.name for s in subjects("full") if s.expected_failures}:
        mine = [(s, p) for s, p in pairs("full") if s.solver.name == solver and s.expected_failures]
        assert {p.name for _, p in mine} >= {"linear with time", "tanh network", "forced pendulum, backwards"}
