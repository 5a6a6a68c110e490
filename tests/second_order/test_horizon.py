"""Optimisers of the last time: closed-form optima, the rates that theory gives, and what has to be refuted."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint_adjoint

from odecheck.errors import BadInput
from odecheck.ode import odeint
from odecheck.optim.horizon import HorizonDescent, HorizonFeedback, HorizonNewton
from tests.ramp import BEST, RHO, TT, A, C, R, Ramp, measured, ramp_loss

pytestmark = pytest.mark.usefixtures("in_float64")

ROUNDOFF = 1e-12


def errors_in_T(make: Callable, start: float, steps: int, solver: Callable = odeint) -> list[float]:
    """|T − T*| after each step, with θ = θ* kept where it is."""
    field, T = Ramp(1.0), torch.tensor(start, requires_grad=True)
    horizon = make(T, [field.theta], penalty=C)
    found = [abs(start - BEST)]
    for _ in range(steps):
        field.zero_grad()
        measured(horizon, field, *ramp_loss(field, T, solver))
        horizon.step()
        found.append(abs(T.item() - BEST))
    return found


def check_newton_is_quadratic(make: Callable, solver: Callable = odeint) -> None:
    """e' = J_TTT/(2 J_TT) e² + O(e³), and here that factor is 3/(2T*): within a tenth at e < 0.05."""
    e = errors_in_T(make, BEST + 0.3, 6, solver)
    pairs = [(a, b) for a, b in pairwise(e) if 1e-5 < a < 0.05]
    assert len(pairs) >= 1
    for a, b in pairs:
        assert b / a**2 == pytest.approx(1.5 / BEST, rel=0.1)
    assert e[-1] < ROUNDOFF


def test_exact_policy_converges_quadratically() -> None:
    check_newton_is_quadratic(HorizonNewton)


def test_exact_policy_needs_no_more_than_first_order_gradients() -> None:
    check_newton_is_quadratic(HorizonNewton, odeint_adjoint)


def check_feedback_rate(make: Callable) -> None:
    """Linear, at 1 − J_TT/(C + C²T*²): here 1 − 5/1.2, beyond 1 in size, so that a learning rate is needed."""
    gain = TT / (C + (C * BEST) ** 2)
    rate = abs(1 - 0.3 * gain)
    e = errors_in_T(lambda *a, **k: make(*a, learning_rate=0.3, **k), BEST + 0.01, 12)
    assert e[-1] / e[-2] == pytest.approx(rate, rel=1e-3)
    assert e[-1] < 1e-6


def test_published_policy_converges_linearly_at_the_rate_of_theory() -> None:
    check_feedback_rate(HorizonFeedback)


def test_published_policy_leaves_the_optimum_at_full_step_where_theory_says_so() -> None:
    e = errors_in_T(HorizonFeedback, BEST + 1e-6, 8)
    assert e[5] / e[4] == pytest.approx(abs(1 - TT / (C + (C * BEST) ** 2)), rel=1e-2)
    assert e[8] > 10 * e[0]


def check_descent_rate(make: Callable) -> None:
    e = errors_in_T(lambda *a, **k: make(*a, learning_rate=0.1, **k), BEST + 0.01, 25)
    assert e[-1] / e[-2] == pytest.approx(1 - 0.1 * TT, rel=1e-3)


def test_baseline_converges_at_the_rate_of_gradient_descent() -> None:
    check_descent_rate(HorizonDescent)


def joint_rate(make: Callable, steps: int = 14) -> float:
    """The mean contraction of the errors of (T, θ) where θ takes Newton's step of its own, by its exact derivatives."""
    field, T = Ramp(1.01), torch.tensor(BEST + 0.02, requires_grad=True)
    horizon = make(T, [field.theta], penalty=C)
    found = []
    for _ in range(steps):
        field.zero_grad()
        measured(horizon, field, *ramp_loss(field, T))
        with torch.no_grad():
            field.theta -= (field.theta.grad + R * field.theta) / (T**4 / 4 + R)
        horizon.step()
        found.append(math.hypot(T.item() - BEST, field.theta.item() - 1))
    return (found[-1] / found[-5]) ** (1 / 4)


def check_joint_rate(make: Callable) -> None:
    """With the feedback the two alternate as in Gauss–Seidel's method, ρ; without it as in Jacobi's, √ρ."""
    assert joint_rate(make) == pytest.approx(RHO, rel=0.02)


def test_feedback_squares_the_rate_of_both() -> None:
    check_joint_rate(HorizonNewton)

    class WithoutFeedback(HorizonNewton):
        def measure(self, loss: Tensor, end: Tensor, field: Callable) -> None:
            super().measure(loss, end, field)
            assert self._measured is not None
            self._measured.mixed = []

    assert joint_rate(WithoutFeedback) == pytest.approx(math.sqrt(RHO), rel=0.02)


def joint_newton(make: Callable, away: float, steps: int = 1) -> float:
    """The error of (T, θ) where θ takes its part of the Newton step of both and the policy adds that of T."""
    field, T = Ramp(1 + away), torch.tensor(BEST - away, requires_grad=True)
    horizon = make(T, [field.theta], penalty=C)
    for _ in range(steps):
        field.zero_grad()
        loss, end = ramp_loss(field, T)
        measured(horizon, field, loss, end)
        with torch.no_grad():
            t, th = T.item(), field.theta.item()
            residual = th * t**2 / 2 - A
            Jt, Jth = residual * th * t + C * t, residual * t**2 / 2 + R * th
            Jtt, Jthth, Jtth = (th * t) ** 2 + residual * th + C, t**4 / 4 + R, t**2 / 2 * th * t + residual * t
            field.theta -= (Jth - Jtth * Jt / Jtt) / (Jthth - Jtth**2 / Jtt)
        horizon.step()
    return math.hypot(T.item() - BEST, field.theta.item() - 1)


def check_joint_newton(make: Callable) -> None:
    """A start ten times nearer is a hundred times nearer after one step."""
    assert math.log10(joint_newton(make, 1e-3) / joint_newton(make, 1e-4)) == pytest.approx(2, abs=0.02)
    assert joint_newton(make, 0.1, 6) < ROUNDOFF


def test_policy_completes_the_newton_step_of_both() -> None:
    check_joint_newton(HorizonNewton)


@pytest.mark.parametrize("make", [HorizonDescent, HorizonFeedback, HorizonNewton])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_both_reach_the_optimum_beside_any_optimizer(make: Callable, optimizer: Callable) -> None:
    field, T = Ramp(0.6), torch.tensor(1.2, requires_grad=True)
    theta = optimizer([field.theta], lr=0.05)
    horizon = make(T, [field.theta], penalty=C, learning_rate=1.0 if make is HorizonNewton else 0.2)
    for _ in range(150):
        theta.zero_grad()
        loss, end = ramp_loss(field, T)
        measured(horizon, field, loss + R / 2 * field.theta.square(), end)
        theta.step()
        horizon.step()
    # from 1 away; Adam's linear rate here is the slowest, about 0.95 a step: e⁻⁷·⁷
    assert T.item() == pytest.approx(BEST, abs=1e-3)
    assert field.theta.item() == pytest.approx(1, abs=1e-3)


class FlippedSlope(HorizonNewton):
    def _keep(self, slope, curvature=0.0, mixed=()):
        super()._keep(-slope, curvature, mixed)


class FlippedDescent(HorizonDescent):
    def _keep(self, slope, curvature=0.0, mixed=()):
        super()._keep(-slope, curvature, mixed)


class FlippedPublished(HorizonFeedback):
    def _keep(self, slope, curvature=0.0, mixed=()):
        super()._keep(-slope, curvature, mixed)


class NoPenaltyInSlope(HorizonNewton):
    def _change(self, seen, length, penalty):
        return super()._change(seen, 0.0, penalty)


class NoPenaltyInDescent(HorizonDescent):
    def _change(self, seen, length, penalty):
        return super()._change(seen, length, 0.0)


class NoPenaltyInPublishedSlope(HorizonFeedback):
    def _change(self, seen, length, penalty):
        return super()._change(seen, 0.0, penalty)


class NoPenaltyInCurvature(HorizonNewton):
    def _change(self, seen, length, penalty):
        return -(seen.slope + penalty * length + seen.feedback()) / abs(seen.curvature)


class WithoutFieldInTime(HorizonNewton):
    """Q_TT without the term Φ_y·F_t."""

    def measure(self, loss, end, field):
        super().measure(loss, end, lambda t, y: field(t.detach(), y))


class FlippedFeedback(HorizonNewton):
    def measure(self, loss, end, field):
        super().measure(loss, end, field)
        assert self._measured is not None
        self._measured.mixed = [(p, before, -q) for p, before, q in self._measured.mixed]


class WithoutFieldInTheta(HorizonNewton):
    """Q_Tθ without the term F_θᵀΦ_y."""

    def measure(self, loss, end, field):
        kept = {name: p.detach() for name, p in field.named_parameters()}
        super().measure(loss, end, lambda t, y: torch.func.functional_call(field, kept, (t, y)))


class PublishedFlippedFeedback(HorizonFeedback):
    def measure(self):
        super().measure()
        assert self._measured is not None
        self._measured.mixed = [(p, before, -q) for p, before, q in self._measured.mixed]


class PublishedCurvatureUnsquared(HorizonFeedback):
    def _keep(self, slope, curvature=0.0, mixed=()):
        super()._keep(slope, abs(slope), mixed)


MUTANTS = [
    (check_newton_is_quadratic, FlippedSlope),
    (check_newton_is_quadratic, NoPenaltyInSlope),
    (check_newton_is_quadratic, NoPenaltyInCurvature),
    (check_newton_is_quadratic, WithoutFieldInTime),
    (check_newton_is_quadratic, HorizonFeedback),
    (check_joint_rate, FlippedFeedback),
    (check_joint_rate, WithoutFieldInTheta),
    (check_joint_newton, FlippedFeedback),
    (check_joint_newton, WithoutFieldInTheta),
    (check_joint_newton, WithoutFieldInTime),
    (check_feedback_rate, FlippedPublished),
    (check_feedback_rate, NoPenaltyInPublishedSlope),
    (check_feedback_rate, PublishedCurvatureUnsquared),
    (check_descent_rate, FlippedDescent),
    (check_descent_rate, NoPenaltyInDescent),
]


@pytest.mark.parametrize(("check", "mutant"), MUTANTS)
def test_wrong_policies_are_refuted(check: Callable, mutant: Callable) -> None:
    with pytest.raises((AssertionError, BadInput)):
        check(mutant)
