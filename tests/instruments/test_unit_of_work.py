"""What is kept serves the claims of one unit of work, and is never believed of a model that was changed since."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from odecheck_reference import Problem, catalogue
from torch import nn

from odecheck import (
    HOLDS,
    REFUTED,
    SHIPPED,
    Adaptive,
    Adjoint,
    Backprop,
    Closed,
    FixedStep,
    Record,
    Subject,
    check,
    module_pairs,
)
from odecheck.engines.base import Engine
from odecheck.fields.callback import CallbackField, ModuleFactory
from odecheck.fields.from_reference import torch_twin
from odecheck.instruments.unit_of_work import kept_in_unit, kept_so_far, unit_of_work
from odecheck.runner import presets
from odecheck.solvers import Solver

PROBLEM = catalogue.quick()[0]
NETWORK = next(one.problem for one in presets.beside("quick") if "network" in one.problem.name)
SPEED = {"of the field": 1.0}


class Scaled(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return SPEED["of the field"] * self.inner(t, y)


def factory(theta: torch.Tensor) -> nn.Module:
    return Scaled(torch_twin(PROBLEM.field)(theta))


@pytest.fixture(autouse=True)
def right_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPEED, "of the field", 1.0)


def test_a_model_that_was_changed_is_solved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(factory, Adaptive("dopri5", rtol=1e-8), Backprop())
    asked = ["SOL-1", "SOL-2", "NODE-1", "NODE-2"]
    assert {record.verdict for record in check(subject, PROBLEM, asked)} == {HOLDS}
    monkeypatch.setitem(SPEED, "of the field", 1.01)
    assert {record.verdict for record in check(subject, PROBLEM, asked)} == {REFUTED}


class Turning(nn.Module):
    """A plain module with a number of its own that no parameter holds."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2).double()
        self.speed = 1.0

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.speed * self.net(y)


def test_a_plain_module_that_was_changed_has_a_truth_of_its_own() -> None:
    """The reference calls the module back: what it kept of the former one would refute the changed one."""
    torch.manual_seed(0)
    ((subject, problem), *_) = module_pairs(Turning(), [[1.0, 0.5]], [0.0, 0.5, 1.0])
    assert {r.verdict for r in check(subject, problem, ["SOL-2", "NODE-2"])} == {HOLDS}
    factory_of = subject.field
    assert isinstance(factory_of, ModuleFactory) and isinstance(problem.field, CallbackField)
    held = (m for kept in (factory_of.module, problem.field.module) for m in kept.modules())
    turning = {id(m): m for m in held if isinstance(m, Turning)}
    assert turning
    for module in turning.values():
        module.speed = 1.5
    assert {r.verdict for r in check(subject, problem, ["SOL-2", "NODE-2"])} == {HOLDS}


def test_claims_of_a_unit_share_their_solves() -> None:
    solves: list[int] = []

    class Counted(Adaptive):
        def solve(self, odeint, module, y0, ts):
            solves.append(1)
            return super().solve(odeint, module, y0, ts)

    solver: Solver = Counted("dopri5", rtol=1e-6)
    subject = Subject(factory, solver, Backprop())
    check(subject, PROBLEM, ["SOL-2"], validate=False)
    alone = len(solves)
    check(subject, PROBLEM, ["SOL-2", "SOL-8"], validate=False)
    both = len(solves) - alone
    solves.clear()
    check(subject, PROBLEM, ["SOL-8"], validate=False)
    assert both < alone + len(solves)


def test_nothing_is_kept_outside_of_a_unit() -> None:
    calls: list[int] = []

    @kept_in_unit
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    assert [square(3), square(3)] == [9, 9] and calls == [3, 3]
    with unit_of_work():
        assert [square(3), square(3)] == [9, 9] and calls == [3, 3, 3]
        with unit_of_work():  # a part of the same unit
            assert square(3) == 9 and calls == [3, 3, 3]
        kept = kept_so_far()
    with unit_of_work():
        assert square(3) == 9 and calls == [3, 3, 3, 3]
    with unit_of_work(kept):  # gone on with
        assert square(3) == 9 and calls == [3, 3, 3, 3]


def without_time(records: list[Record]) -> list[Record]:
    return [replace(record, seconds=0.0) for record in records]


SOLVES = ("SOL-2", "SOL-6", "SOL-7", "SOL-8", "SOL-9", "NODE-1", "NODE-2", "NODE-4")
CURVATURES = ("SNOPT-6", "SNOPT-6.1", "SNOPT-7", "SNOPT-8", "SNOPT-8.1", "SNOPT-9")


@pytest.mark.parametrize(
    ("engine", "problem", "claims"),
    [
        (Backprop(), PROBLEM, SOLVES),
        (Adjoint(), NETWORK, CURVATURES),
    ],
    ids=["solves", "curvature"],
)
def test_records_are_those_of_claims_that_share_nothing(engine: Engine, problem: Problem, claims: tuple[str, ...]):
    """Verdict, numbers, bar and evaluations: what was kept is charged as if it were done again."""
    subject = Subject(SHIPPED, FixedStep("rk4", step=0.25), engine)
    together = check(subject, problem, claims, validate=False)
    alone = [record for claim in claims for record in check(subject, problem, [claim], validate=False)]
    by_name = {record.claim: record for record in without_time(alone)}
    assert repr(without_time(together)) == repr([by_name[record.claim] for record in together])
    assert all(record.nfe for record in together)


@pytest.mark.parametrize(
    ("engine", "problem", "first", "then"),
    [
        (Backprop(), PROBLEM, "SOL-6", "SOL-7"),
        (Adjoint(), NETWORK, "SNOPT-6", "SNOPT-6.1"),
        (Adjoint(), NETWORK, "SNOPT-8", "SNOPT-8.1"),
        (Closed(), PROBLEM, "SNOPT-10", "SNOPT-11"),
    ],
    ids=["solution", "factors", "blocks", "horizon"],
)
def test_what_two_claims_ask_alike_is_solved_once(engine: Engine, problem: Problem, first: str, then: str):
    """Each poses a problem of its own, of the same numbers."""
    solves: list[int] = []

    class Counted(FixedStep):
        def solve(self, odeint, module, y0, ts):
            solves.append(1)
            return super().solve(odeint, module, y0, ts)

    def count(*claims: str) -> int:
        solves.clear()
        check(Subject(SHIPPED, Counted("rk4", step=0.25), engine), problem, claims, validate=False)
        return len(solves)

    assert count(first, then) < count(first) + count(then)


def test_a_subject_that_answers_otherwise_at_its_next_call_is_refuted() -> None:
    """Also where what it was asked before is kept."""
    made: list[int] = []

    def drifting(theta: torch.Tensor) -> nn.Module:
        made.append(1)
        return torch_twin(PROBLEM.field)(theta * (1 + 1e-9 * len(made)))

    for field, verdict in ((drifting, REFUTED), (SHIPPED, HOLDS)):
        subject = Subject(field, FixedStep("rk4", step=0.25), Backprop())
        for claims in (["SOL-9"], ["SOL-6", "SOL-7", "SOL-9"]):
            assert check(subject, PROBLEM, claims, validate=False)[-1].verdict is verdict
