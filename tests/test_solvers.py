"""Solvers written as the how-to says are asked what torchdiffeq's are: right ones hold, wrong ones are refuted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from odecheck_reference import catalogue

from odecheck import SHIPPED, Adaptive, BadInput, FixedStep, Subject
from odecheck.claims import ALL, CONFORMANCE
from odecheck.engines.torchdiffeq import Backprop
from odecheck.instruments.step_counts import Counter, counted
from odecheck.problem_sets.conformance import linear, network
from odecheck.record import evaluate
from odecheck.runner.validation import validate
from odecheck.solvers import ADAPTIVE, FIXED_STEP, GivenSteps, Solver, Stepped, Toleranced, orders
from odecheck.subject import tensor

CLAIMS = {claim.id: claim for claim in (*ALL, *CONFORMANCE)}


@dataclass(frozen=True)
class Plain:
    """Nothing but what the protocol asks for: a method of torchdiffeq under another class."""

    h: float = 0.2
    method_name: str = "rk4"
    order: int = 4
    refines: bool = True
    stepping = "fixed"

    @property
    def name(self):
        return f"plain({self.h:g})"

    def solve(self, odeint, module, y0, ts):
        return odeint(module, y0, ts, method=self.method_name, options={"step_size": self.h})

    def refined(self):
        return replace(self, h=self.h / 2) if self.refines else self


@dataclass(frozen=True)
class WithStep(Plain):
    """One whose step can be chosen, with cubic outputs."""

    dense_order: int = 4

    @property
    def step(self):
        return self.h

    def with_step(self, step):
        return replace(self, h=step)

    def solve(self, odeint, module, y0, ts):
        options = {"step_size": self.h, "interp": "cubic"}
        return odeint(module, y0, ts, method=self.method_name, options=options)


@dataclass(frozen=True)
class Controlled:
    """An adaptive one. power: of the tolerance that it follows; 0: none, it always solves at 1e-4."""

    rtol: float = 1e-7
    atol: float | None = None
    order: int = 5
    power: float = 1.0
    stepping = "adaptive"

    @property
    def name(self):
        return f"controlled({self.rtol:g})"

    def solve(self, odeint, module, y0, ts):
        rtol = {1.0: self.rtol, 0.5: 1e-2 * self.rtol**0.5, 0.0: 1e-4}[self.power]
        atol = rtol / 100 if self.atol is None or self.power != 1.0 else self.atol
        return odeint(module, y0, ts, method="dopri5", rtol=rtol, atol=atol, options={})

    def refined(self):
        return self.with_tolerance(self.rtol / 10, None if self.atol is None else self.atol / 10)

    def with_tolerance(self, rtol, atol):
        return replace(self, rtol=rtol, atol=atol)


def verdict(claim, solver, problem=None):
    return str(evaluate(CLAIMS[claim], Subject(SHIPPED, solver, Backprop()), problem or network()).verdict)


@pytest.mark.parametrize("kind", [Plain, WithStep])
def test_the_order_of_a_fixed_step_solver_is_asked(kind):
    assert verdict("SOL-2", kind(0.05)) == "holds"
    assert verdict("SOL-3", kind()) == "holds"
    assert verdict("SOL-3", kind(method_name="midpoint", order=2)) == "holds"
    assert verdict("SOL-3", kind(method_name="midpoint", order=3)) == "refuted"
    assert verdict("SOL-3", kind(order=5)) == "refuted"
    assert verdict("SOL-5", kind()) == verdict("SOL-18", kind()) == "not applicable"


def test_a_step_that_can_be_chosen_is_asked_more():
    for claim in ("SOL-4", "SOL-10"):
        assert verdict(claim, WithStep()) == "holds"
        assert verdict(claim, Plain()) == "not applicable"
    assert verdict("SOL-4", WithStep(method_name="midpoint", order=2)) == "refuted"
    assert verdict("SOL-10", WithStep(method_name="midpoint", order=4)) == "refuted"
    assert verdict("SOL-12", WithStep(), linear()) in ("holds", "not applicable")


def test_a_solver_that_does_not_refine_is_not_held_to_converge():
    assert verdict("SOL-3", Plain(refines=False)) == "refuted"


def test_the_tolerance_of_an_adaptive_solver_is_asked():
    for claim in ("SOL-5", "SOL-18"):
        for problem in (network(), linear()):
            assert verdict(claim, Controlled(), problem) == verdict(claim, Adaptive("dopri5"), problem) == "holds"
    assert verdict("SOL-5", Controlled(power=0.5), linear()) == "refuted"
    assert verdict("SOL-18", Controlled(power=0.0)) == "refuted"
    assert verdict("SOL-5", Controlled(power=0.0)) == "inconclusive"  # nothing follows: there is no power to fit
    assert verdict("SOL-3", Controlled()) == "not applicable"


def test_an_order_that_no_tolerances_are_known_for_is_said():
    record = evaluate(CLAIMS["SOL-5"], Subject(SHIPPED, Controlled(order=9), Backprop()), network())
    assert str(record.verdict) == "not applicable" and "orders 2, 3, 4, 5, 6, 7, 8" in record.message


def test_steps_are_counted_by_what_the_solver_says():
    assert Counter(Plain()).fixed and not Counter(Controlled()).fixed  # type: ignore[arg-type]
    problem = catalogue.quick()[2].with_(running=None)
    subject = Subject(SHIPPED, Plain(0.25), Backprop())
    module, ts = subject.module(problem), tensor(problem.ts)
    with counted(module, subject.solver) as counter:
        subject.engine.solution(module, subject.solver, tensor(problem.y0), ts)
    assert counter.counts(ts).accepted_forward == round((problem.ts[-1] - problem.ts[0]) / 0.25)


def test_ours_are_what_the_protocols_say():
    fixed, adaptive, given = FixedStep("rk4"), Adaptive("dopri5"), GivenSteps("rk4")
    for solver in (fixed, adaptive, given, Plain(), Controlled()):
        assert isinstance(solver, Solver)
    assert [s.stepping for s in (fixed, adaptive, given)] == ["fixed", "adaptive", "fixed"]
    assert isinstance(fixed, Stepped) and not isinstance(adaptive, Stepped) and not isinstance(given, Stepped)
    assert isinstance(adaptive, Toleranced) and not isinstance(fixed, Toleranced)
    assert adaptive.with_tolerance(1e-3, None) == Adaptive("dopri5", rtol=1e-3)


def test_a_solver_that_does_not_say_how_it_steps_is_refused():
    class Silent:
        name, order = "silent", 4
        solve = refined = None

    class Odd(Silent):
        stepping = "both"

    for wrong, said in ((Silent(), "has no `stepping`"), (Odd(), "says stepping = 'both'")):
        with pytest.raises(BadInput, match=said) as refused:
            validate(Subject(SHIPPED, wrong, Backprop()), network())
        assert 'stepping = "adaptive"' in str(refused.value)


def test_orders_come_from_one_table():
    assert orders("dopri5", "tsit5", "rk4") == {"dopri5": 5, "tsit5": 5, "rk4": 4}
    assert dict(orders(*ADAPTIVE, *FIXED_STEP)) == {**ADAPTIVE, **FIXED_STEP}
    with pytest.raises(KeyError):
        orders("no such method")
