"""What is kept serves the claims of one unit of work, and is never believed of a model that was changed since."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import catalogue
from torch import nn

from odecheck import HOLDS, REFUTED, Adaptive, Backprop, Subject, check, module_pairs
from odecheck.fields.callback import CallbackField, ModuleFactory
from odecheck.fields.from_reference import torch_twin
from odecheck.instruments.unit_of_work import kept_in_unit, kept_so_far, unit_of_work
from odecheck.solvers import Solver

PROBLEM = catalogue.quick()[0]
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
