"""A solver's own weights as a quadrature: they are told by the times of its stages."""

from __future__ import annotations

import itertools

import pytest
import torchdiffeq

from odecheck.curvature import kronecker_factors
from odecheck.curvature.quadrature import RULES, UnknownMethod, rule_of
from odecheck.errors import CurvatureError
from tests.curvature.solves import Dense, backward_of, made


@pytest.mark.parametrize("name", ["implicit_adams", "explicit_adams", "scipy_solver"])
def test_a_method_without_weights_is_refused_and_its_gradient_left_alone(name):
    field, y0 = made(Dense, 3, 2)
    how = {"options": {"solver": "RK45"}} if name == "scipy_solver" else {"options": {"step_size": 0.05}}
    backward = backward_of(torchdiffeq.odeint_adjoint, field, y0, method=name, **how)
    with pytest.raises(CurvatureError, match=r"linear multistep|scipy_solver"):
        kronecker_factors(field, backward)
    assert field.first.weight.grad is not None


RULE = {rule.name: rule for rule in RULES}
ADAPTIVE_RULES = [rule for rule in RULES if rule.tableau.adaptive]


@pytest.mark.parametrize("rule", ADAPTIVE_RULES, ids=lambda rule: rule.name)
def test_weights_over_a_part_of_a_step_are_those_of_torchdiffeqs_polynomial(rule):
    """Of constants they integrate exactly; they end in the step's own; in mid-step they are the tableau's."""
    for theta in (0.0, 0.2, 0.5, 0.9, 1.0):
        assert sum(rule.weights(theta)) == pytest.approx(theta, abs=1e-13)
    assert rule.weights(1 - 1e-12) == pytest.approx(rule.weights(), abs=1e-10)
    assert rule.weights(0.5) == pytest.approx(rule.tableau.middle, abs=1e-14)


def test_weights_of_dopri5_integrate_as_its_order_says():
    """Σ β_j(θ) c_j^k = θ^(k+1)/(k+1): to k = 3 anywhere in the step, to k = 4 at its end."""
    rule = RULE["dopri5"]
    for k, theta in itertools.product(range(4), (0.3, 1.0)):
        moment = sum(b * c**k for b, c in zip(rule.weights(theta), rule.tableau.c, strict=True))
        assert moment == pytest.approx(theta ** (k + 1) / (k + 1), abs=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_method_is_known_by_the_times_of_its_stages(rule):
    fractions = [c + 1e-8 for c in rule.seen]
    found = rule_of(fractions, adaptive=rule.tableau.adaptive, slack=1e-6)
    assert found.seen == rule.seen and found.tableau.b == rule.tableau.b
    with pytest.raises(UnknownMethod, match="Pass adjoint_method='dopri5'"):
        rule_of([c + 1e-3 for c in fractions], adaptive=rule.tableau.adaptive, slack=1e-6)


def test_a_method_does_not_change_within_a_solve():
    with pytest.raises(UnknownMethod, match="the steps before it were of rk4"):
        rule_of(RULE["midpoint"].seen, adaptive=False, slack=1e-6, known=RULE["rk4"])


def test_an_evaluation_more_at_the_end_is_that_of_cubic_outputs():
    assert rule_of([*RULE["rk4"].seen, 1.0], adaptive=False, slack=1e-6).name == "rk4"
    assert rule_of([*RULE["euler"].seen, 1.0], adaptive=False, slack=1e-6).name in ("euler", "heun2")


def test_stages_without_weight_anywhere_in_the_step_are_idle():
    assert [RULE["dopri5"].idle(i) for i in range(7)] == [False, True, False, False, False, False, False]
    assert not any(RULE["heun2"].idle(i) for i in range(2))
