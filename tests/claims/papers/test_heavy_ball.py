"""The claims about heavy-ball and Adam neural ODEs: right models meet them, wrong ones do not, conditions bite."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, gauss_newton, hessian, solution
from odecheck_reference import heavy_ball as reference
from odecheck_reference.fields import Adam, GeneralisedHeavyBall, HeavyBall, Linear, Mlp
from odecheck_reference.losses import Linear as LinearLoss

from odecheck import second_order
from odecheck.claim import Claim, Mutant
from odecheck.claims import ALL
from odecheck.claims.papers import adam, heavy_ball
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import NotApplicable
from odecheck.fields.losses import torch_loss
from odecheck.judge import Verdict
from odecheck.ode import odeint
from odecheck.problem_sets.families import FAMILIES, draw
from odecheck.record import Record, evaluate
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject, tensor, to_numpy

ENGINES = {"backprop": Backprop(), "adjoint": Adjoint()}
OURS = [c for c in ALL if c.family in (heavy_ball.HB, adam.ADAM)]
BITTEN = OURS
# where each claim is tried, first to last; a claim that is not in the list is tried on the first problems of its model
WHERE = {
    "HB": ("heavy ball, signs of the code",),
    "HB-4": ("heavy ball, linear in time",),
    "HB-6": ("heavy ball, linear",),
    "HB-7.1": ("heavy ball of a gradient",),
    "HB-8": ("generalised heavy ball",),
    "HB-10": ("heavy ball, damping of time",),
    "ADAM": ("Adam",),
    "ADAM-2": ("Adam, undriven",),
    "ADAM-3": ("Adam, denominator of the code",),
    "ADAM-4": ("Adam, equal rates",),
    "ADAM-5": ("Adam, equal rates",),
}


def where(claim: Claim) -> list[Problem]:
    names = WHERE.get(claim.id) or WHERE[claim.id.split("-")[0]]
    return [short(name) for name in names]


@cache
def short(family: str) -> Problem:
    """A drawn problem seen at its ends alone: a third of the solves."""
    whole = draw(family)
    slope = whole.loss.gradient(solution(whole).value)[-1]
    return whole.with_(ts=whole.ts[[0, -1]], loss=LinearLoss(np.stack([0 * slope, slope])))


def subject(engine: str = "backprop") -> Subject:
    return Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6, land=True), ENGINES[engine])


def named(id: str) -> Claim:
    return next(c for c in ALL if c.id == id)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("claim", OURS, ids=lambda c: c.id)
def test_a_right_model_meets_its_claims(claim: Claim, engine: str) -> None:
    """Also the sentences that are false in general: here they are asked where their condition is met."""
    record = evaluate(claim, subject(engine), where(claim)[0])
    assert record.verdict == Verdict.HOLDS and record.ok, record


def bites(claim: Claim, mutant: Mutant, engine: str) -> Record | None:
    """The record of the first problem on which the right model holds and the mutant is refuted."""
    for problem in where(claim):
        try:
            record = evaluate(claim, mutant(subject(engine)), problem)
        except NotApplicable:
            continue
        assert record.verdict != Verdict.ERROR, record
        if record.verdict == Verdict.REFUTED:
            assert evaluate(claim, subject(engine), problem).verdict == Verdict.HOLDS
            return record
    return None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("claim", "mutant"), [pytest.param(c, m, id=f"{c.id}-{m.name}") for c in OURS for m in c.mutants]
)
def test_every_claim_refutes_its_mutants(claim: Claim, mutant: Mutant, engine: str) -> None:
    assert bites(claim, mutant, engine) is not None, f"{claim.id} does not see: {mutant.name}"


# claim, a problem that does not meet its condition
BEYOND = {
    "HB-3": "heavy ball, damping of time",
    "HB-4": "heavy ball of width 1",
    "HB-6": "heavy ball of width 1",
    "HB-7.1": "heavy ball",
    "ADAM-2": "Adam of width 1",
    "ADAM-5": "Adam, published rates",
}


@pytest.mark.parametrize("id", BEYOND)
def test_without_its_condition_a_claim_is_refuted(id: str) -> None:
    record = evaluate(named(id), subject(), draw(BEYOND[id]))
    assert record.verdict == Verdict.REFUTED and record.ok, record


def test_every_condition_is_shown_on_both_sides() -> None:
    assert {c.id for c in OURS if c.when} == set(BEYOND)


@pytest.mark.parametrize("id", ["HB-4", "HB-6"])
def test_a_refuted_sentence_becomes_true_when_f_is_made_linear(id: str) -> None:
    """One problem, its inner network replaced by its tangent at the start: nothing else tells the claim the verdict."""
    curved = draw("heavy ball of width 1")
    inner, t0 = curved.field.inner, curved.ts[0]
    assert isinstance(curved.field, HeavyBall) and isinstance(inner, Mlp)
    jet = inner.jet(t0, curved.y0[:, :1], curved.theta[:-1], 1)
    slope = jet.first[0, 0, 1]
    theta = np.array([slope, jet.value[0, 0] - slope * curved.y0[0, 0], curved.theta[-1]])
    straight = curved.with_(field=replace(curved.field, inner=Linear(1)), theta=theta)
    assert evaluate(named(id), subject(), curved).verdict == Verdict.REFUTED
    record = evaluate(named(id), subject(), straight)
    assert record.verdict == Verdict.HOLDS and record.ok, record


def test_the_residual_of_the_literal_sentence_is_where_the_theory_puts_it() -> None:
    problem = draw("heavy ball of width 1")
    literal, defect = reference.position_adjoint_read_literally(problem)
    right = reference.adjoint(problem).value[..., :1]
    assert np.abs(defect.value).max() > 1e-2
    np.testing.assert_allclose(literal.value + defect.value, right, rtol=0, atol=1e-11)


def test_the_claims_say_of_what_they_speak() -> None:
    for claim in OURS:
        record = evaluate(claim, subject(), draw("network of width 1"))
        assert record.verdict == Verdict.NOT_APPLICABLE and "Mlp" in record.message, record
    for id, family, says in [
        ("HB-2", "generalised heavy ball", "see HB-8"),
        ("HB-8", "heavy ball", "see HB-2"),
        ("HB-10", "heavy ball", "see HB-3"),
        ("HB-4.1", "heavy ball, linear", "HB-4 itself holds"),
        ("HB-6.2", "heavy ball, linear", "HB-6 itself holds"),
        ("ADAM-4", "Adam, published rates", "See ADAM-5"),
    ]:
        assert says in evaluate(named(id), subject(), draw(family)).message
    backwards = draw("Adam, equal rates")
    backwards = backwards.with_(ts=backwards.ts[::-1])
    for id in ("ADAM-3", "ADAM-4", "ADAM-5"):
        assert evaluate(named(id), subject(), backwards).verdict == Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drawn_problem_is_the_same_each_time(family: str) -> None:
    one, other = FAMILIES[family].draw(3), FAMILIES[family].draw(3)
    assert np.array_equal(one.theta, other.theta) and np.array_equal(one.y0, other.y0) and one.name == other.name
    assert not np.array_equal(one.ts, FAMILIES[family].draw(4).ts)


SECOND_ORDER = {
    "heavy ball": HeavyBall(Mlp(1, 1, (1,))),
    "generalised heavy ball": GeneralisedHeavyBall(Mlp(1, 1, (1,))),
    "Adam": Adam(Mlp(1, 1, (1,)), epsilon=0.1),
    "Adam, denominator of the code": Adam(Mlp(1, 1, (1,)), epsilon=0.1, denominator="code"),
}


@pytest.mark.parametrize("family", SECOND_ORDER)
def test_second_derivatives_of_the_models(family: str) -> None:
    """SNOPT-1 and SNOPT-2: curvature through the damping and through the root of v, against the reference."""
    problem = replace(FAMILIES[family], field=SECOND_ORDER[family], span=0.75, batch=1).draw(0)
    module = subject().module(problem)
    y0, ts, loss = tensor(problem.y0), tensor(problem.ts), torch_loss(problem.loss)
    size = problem.y0.size + problem.field.params
    exact = hessian(problem).value[:size, :size]
    newton = gauss_newton(problem).value[:size, :size]
    assert np.abs(newton - exact).max() > 1e-3 * np.abs(exact).max()
    for form, truth in (("exact", exact), ("gauss-newton", newton)):
        got = second_order.hessian(module, y0, ts, loss, form=form, method="rk4", options={"step_size": 0.05})
        np.testing.assert_allclose(to_numpy(got), truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def test_curvature_of_our_own_solve() -> None:
    """The same Hessian by differentiating `odecheck.odeint` twice."""
    problem = replace(FAMILIES["Adam of width 1"], field=SECOND_ORDER["Adam"], span=0.75).draw(0)
    module, loss, ts = subject().module(problem), torch_loss(problem.loss), tensor(problem.ts)
    got = torch.func.hessian(lambda y: loss(odeint(module, y, ts, method="rk4", options={"step_size": 0.05})))(
        tensor(problem.y0)
    )
    d = problem.field.state
    truth = hessian(problem).value[:d, :d]
    np.testing.assert_allclose(to_numpy(got.reshape(d, d)), truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def test_the_modules_of_these_claims_are_listed() -> None:
    for module in (heavy_ball, adam):
        assert {c for c in vars(module).values() if isinstance(c, Claim)} <= set(ALL)
