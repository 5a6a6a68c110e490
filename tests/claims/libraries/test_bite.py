"""Claims of conformance: each refutes its mutants, holds for what is right, and finds what is known to be wrong.

A mutant counts where the subject that it was made from holds: elsewhere its refutation says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from odecheck_reference import Problem

from odecheck.claim import Claim, Mutant
from odecheck.claims import CONFORMANCE
from odecheck.claims.libraries.events import event_of
from odecheck.engines.own import Closed, ClosedEngine, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop, Seminorm
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.problem_sets.conformance import falling, problems, switched
from odecheck.record import Record, evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = {claim.id: claim for claim in CONFORMANCE}


@dataclass(frozen=True)
class EventsByNewton(ClosedEngine):
    """Events that are right to second order: two of Newton's steps, each a solve that can be differentiated."""

    name: str = "events by Newton's method"

    def event(self, module, solver, y0, t0, event):
        with torch.no_grad():
            time, _ = Backprop().event(module, Adaptive("dopri5", rtol=1e-9), y0, t0, event)
        for _ in range(2):
            states = self.attached(module, solver, y0, torch.stack([t0.reshape(()), time.reshape(())]))
            time = time - event(time, states[-1]) / module(time, states[-1])[0, 0]
        return time, self.attached(module, solver, y0, torch.stack([t0.reshape(()), time.reshape(())]))[-1]


DOPRI5, RK4 = Adaptive("dopri5", rtol=1e-7), FixedStep("rk4", step=0.05)
STEPS, FINE = Subject(SHIPPED, RK4, Backprop()), Subject(SHIPPED, DOPRI5, Backprop())
LOOSE = Adaptive("dopri5", rtol=1e-5)
FLOW, OWN = Subject(SHIPPED, LOOSE, Adjoint()), Subject(SHIPPED, LOOSE, Closed())
FEW_STEPS = Subject(SHIPPED, FixedStep("rk4", step=0.125), Backprop())
SECOND = Subject(SHIPPED, FixedStep("midpoint", step=0.02), Backprop())
EVENTS = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), EventsByNewton())
STEPS_OF_THE_FLOW = Subject(SHIPPED, RK4, Adjoint())
EXACT_STEPS = Subject(SHIPPED, RK4, Discrete())


def subjects_for(claim: Claim) -> tuple[Subject, ...]:
    """Right subjects, cheapest first."""
    if claim.id.startswith("EVT"):
        return (EVENTS,)
    if claim.id.startswith("HES"):
        return (OWN,) if claim.id in ("HES-6", "HES-8") else (FEW_STEPS, STEPS)
    return (STEPS, SECOND, FINE, FLOW, STEPS_OF_THE_FLOW, OWN)


@cache
def judged(claim: Claim, subject: Subject, problem: Problem) -> Record:
    return evaluate(claim, subject, problem)


@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in CONFORMANCE for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant) -> None:
    seen: list[str] = []
    for subject, problem in product(subjects_for(claim), problems(claim.id)):
        try:
            wrong = mutant(subject)
        except NotApplicable:
            continue
        if judged(claim, subject, problem).verdict != Verdict.HOLDS:
            continue
        record = evaluate(claim, wrong, problem)
        assert record.verdict != Verdict.ERROR, record
        if record.verdict == Verdict.REFUTED:
            return
        seen.append(f"{subject.name}: {record.verdict}")
    pytest.fail(f"{claim.id} does not see: {mutant.name} ({'; '.join(seen)})")


# what the steps of odecheck.discrete are known to get wrong: chosen for the solution, they do not see its sensitivity
KNOWN_OF_OUR_OWN = {("DER-7", "odecheck.discrete"), ("DER-17", "odecheck.discrete")}


@pytest.mark.parametrize("subject", [OWN, EXACT_STEPS, Subject(SHIPPED, DOPRI5, Discrete())], ids=lambda s: s.name)
@pytest.mark.parametrize(
    "claim", [c for c in CONFORMANCE if c.id not in ("HES-1", "HES-3", "HES-6", "HES-8")], ids=lambda c: c.id
)
def test_our_own_engines_are_right(claim: Claim, subject: Subject) -> None:
    known = (claim.id, subject.engine.name) in KNOWN_OF_OUR_OWN
    for problem in problems(claim.id)[:1]:
        record = judged(claim, subject, problem)
        assert record.verdict != Verdict.ERROR, record
        if known and isinstance(subject.solver, Adaptive):
            assert record.verdict == Verdict.REFUTED, record
        elif not known:
            assert record.verdict != Verdict.REFUTED, record


ADAMS, EXPLICIT = FixedStep("implicit_adams", step=0.02), FixedStep("explicit_adams", step=0.02)
FINDINGS = [
    ("SOL-10", ADAMS, Backprop()),  # one cut step costs two orders
    ("SOL-11", ADAMS, Backprop()),  # coefficients of even steps
    ("SOL-12", EXPLICIT, Backprop()),  # its default order is unstable
    ("DER-3", RK4, Backprop()),  # the grid is not differentiated as it moves with the times
    ("DER-7", DOPRI5, Backprop()),  # steps that do not see the sensitivity
    ("SOL-18", Adaptive("dopri8", rtol=1e-9), Backprop()),  # its outputs are of degree four
    ("DER-17", DOPRI5, Backprop()),
    ("DER-17", DOPRI5, Seminorm()),  # nor does a norm that leaves the sensitivity out
    ("DER-13", DOPRI5, Adjoint()),  # the field is called in float64 backwards
    ("HES-2", DOPRI5, Adjoint()),  # all zero
    ("HES-3", DOPRI5, Adjoint()),  # the penalty is lost
    ("HES-4", DOPRI5, Adjoint()),
    ("HES-5", DOPRI5, Adjoint()),
    ("EVT-3", DOPRI5, Backprop()),  # events are differentiated once
    ("EVT-3", DOPRI5, Adjoint()),
    ("USE-3", DOPRI5, Adjoint()),  # the backward solve calls the field as it is by then
    ("USE-4", DOPRI5, Adjoint()),
    ("USE-5", DOPRI5, Adjoint()),
    ("USE-6", DOPRI5, Adjoint()),
]


@pytest.mark.filterwarnings("ignore:Functional iteration")
@pytest.mark.parametrize(("name", "solver", "engine"), FINDINGS, ids=lambda x: getattr(x, "name", x))
def test_what_torchdiffeq_is_known_to_get_wrong_is_found(name, solver, engine) -> None:
    """Strict: the day it is mended, this fails."""
    record = evaluate(CLAIMS[name], Subject(SHIPPED, solver, engine), problems(name)[0])
    assert record.verdict == Verdict.REFUTED, record


def test_shares_name_what_a_route_lost() -> None:
    """All zero is (0, 0, 0), the first-order part alone (0, 1, 0)."""
    from odecheck.claims.libraries.hessians import in_start

    parts = in_start(problems("HES-2")[0])
    assert parts.shares(0 * parts.first) == pytest.approx([0, 0, 0])
    assert parts.shares(parts.first) == pytest.approx([0, 1, 0], abs=1e-9)
    assert parts.shares(parts.first + parts.second) == pytest.approx([1, 1, 0], abs=1e-9)


def test_events_of_a_fall_are_those_of_its_closed_form() -> None:
    """T = (v + √(v² + 2 g x)) / g after the start, v(T)² = v² + 2 g x: Hessian of ½ v² is [[0, 0], [0, 1]]."""
    problem = falling()
    (x, v), g = problem.y0[0], -problem.theta[5]
    speed = np.sqrt(v * v + 2 * g * x)
    exact = event_of(problem)
    time, slope, bend = exact.time
    assert time == pytest.approx(problem.ts[0] + (v + speed) / g, rel=1e-14)
    assert exact.state[0] == pytest.approx([0.0, -speed], abs=1e-14)
    assert slope[:3] == pytest.approx([1.0, 1 / speed, (1 + v / speed) / g], rel=1e-13)
    assert bend[1, 1] == pytest.approx(-g / speed**3, rel=1e-12)
    y, y_z, y_zz = exact.state
    energy = y_z.T @ y_z + np.einsum("i,ipq->pq", y, y_zz)
    assert energy[1:3, 1:3] == pytest.approx(np.array([[0.0, 0.0], [0.0, 1.0]]), abs=1e-12)


def test_a_switched_field_solves_itself() -> None:
    """Its closed form satisfies y' = F on both sides of the jump."""
    problem = switched()
    field = problem.field
    for t in (0.3, 1.2):
        step = 1e-6
        at = [field.solution(0.0, t + k * step, problem.y0, problem.theta) for k in (-1, 1)]
        slope = (at[1] - at[0]) / (2 * step)
        here = field.solution(0.0, t, problem.y0, problem.theta)
        assert slope == pytest.approx(field.jet(t, here, problem.theta, 0).value, rel=1e-8)
