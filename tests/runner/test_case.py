"""What is run: units and their cases, planned in order, each on one thread and with a seed of its own."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from odecheck_reference import Bounded, Problem

from odecheck import ALL, Adaptive, Adjoint, Backprop, BadInput, FixedStep, Subject, Verdict, check, problems
from odecheck.claims.find import found
from odecheck.claims.papers import node
from odecheck.commands.forecast import line
from odecheck.runner.at_sight import GIVEN_IN, OWN, given_in
from odecheck.runner.case import OF_PIECES, Case, Unit, cases, plan
from odecheck.runner.own_fields import module_pairs

SUBJECTS = (
    Subject(None, Adaptive("dopri5", rtol=1e-5), Adjoint()),
    Subject(None, FixedStep("rk4", step=0.1), Backprop(), expected_failures={"NODE-3": "a reason"}),
)
UNIT = Unit(SUBJECTS[0], problems()[0], found(["SOL-1", "SOL-2", "NODE-2"]))


class Decay(torch.nn.Module):
    """At a rate that is its parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -self.rate * y


def test_a_plan_says_what_is_wrong():
    with pytest.raises(BadInput, match="no claim 'NODE-99'"):
        plan(SUBJECTS, problems()[0], "NODE-99")
    with pytest.raises(BadInput, match="two cases are called"):
        plan([SUBJECTS[0], SUBJECTS[0]], problems()[0])
    with pytest.raises(BadInput, match="problems was left out"):
        plan(Subject(torch.nn.Linear, Adaptive(), Adjoint()))  # type: ignore[arg-type]
    assert len(list(cases(SUBJECTS))) == 2 * len(problems()) * len(ALL)
    assert len(plan([(SUBJECTS[0], problems()[1]), SUBJECTS[1]], problems()[0])) == 2
    assert len(plan(SUBJECTS[0], tier="full")) == len(problems("full"))


def test_the_number_of_threads_of_torch_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    check(SUBJECTS[0], problems()[0], "SOL-1")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_unit_knows_its_cases_and_what_is_left_of_it():
    subject, problem = SUBJECTS[0].name, problems()[0].name
    assert UNIT.keys == [(claim, subject, problem) for claim in ("SOL-1", "SOL-2", "NODE-2")]
    assert [case.name for case in UNIT.cases] == [f"{claim}-{problem}-{subject}" for claim, *_ in UNIT.keys]
    left = UNIT.without(UNIT.keys[:2])
    assert [claim.id for claim in left.claims] == ["NODE-2"] and left.without(UNIT.keys).claims == ()
    assert [part.keys for part in UNIT.one_by_one()] == [[key] for key in UNIT.keys]


def test_a_unit_that_crashed_has_a_record_of_each_claim():
    records = UNIT.crashed("it died")
    assert [r.key for r in records] == UNIT.keys
    assert {(r.verdict, r.ok, r.message) for r in records} == {(Verdict.ERROR, False, "it died")}


def test_a_case_draws_the_same_numbers_each_time():
    def drawing(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        """Some numbers."""
        return Bounded([float(torch.rand(())), random.random()]), Bounded([2.0, 3.0])

    case = Case(SUBJECTS[0], problems()[0], replace(node.parameter_gradient, statement=drawing))
    one, same, other = (repr(case.run(seed).repeatable()) for seed in (1, 1, 2))
    assert one == same != other


def test_claims_are_taken_by_any_spelling_of_their_ids():
    assert found("sol-2") == found(["SOL-2"]) == tuple(c for c in ALL if c.id == "SOL-2")
    assert found(node.time_gradient) == (node.time_gradient,)


@pytest.mark.parametrize(
    ("source", "claim", "off", "said"),
    [
        (GIVEN_IN + "float32", node.time_gradient, 2e-7, True),
        (GIVEN_IN + "float32", node.time_gradient, 2e-4, False),
        (GIVEN_IN + "float32", node.time_gradient, 0.0, False),
        (GIVEN_IN + "float32", node.parameter_gradient, 2e-7, False),
        (OWN, node.time_gradient, 2e-7, False),
    ],
)
def test_what_the_pieces_of_a_curve_in_float32_may_do_is_said_where_it_is_refuted(source, claim, off, said):
    def statement(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
        """A number."""
        return Bounded([2.0 + 2.0 * off], {"truncation": 1e-9}), Bounded([2.0])

    case = Case(SUBJECTS[0], problems()[0].with_(source=source), replace(claim, statement=statement))
    record = case.run()
    assert record.verdict == (Verdict.REFUTED if off else Verdict.HOLDS)
    assert (OF_PIECES in record.message) is said


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        (torch.float64, ""),
        (torch.float32, "float32"),
        (torch.float16, "float16"),
        (torch.bfloat16, "bfloat16"),
    ],
)
def test_a_problem_says_in_which_dtype_its_field_was_given(dtype, given):
    units = plan(module_pairs(Decay().to(dtype), [[0.5]]), None, ["SOL-2"])
    assert given_in(units[0].problem) == given
    half = given in ("float16", "bfloat16")
    assert (f"which was given in {given}: what that rounds away" in line(units, 1)) is half
