"""Optimisers of the last time: closed-form optima, the rates that theory gives, and what has to be refuted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torchdiffeq import odeint_adjoint

from odecheck.door import BadInput
from odecheck.ode import odeint
from odecheck.optim.horizon import HorizonDescent, HorizonFeedback, HorizonNewton, HorizonOptimizer
from odecheck.second_order import horizon_derivatives

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
# the ramp and its adjoint are quadratic in t at most, which one step of rk4 integrates exactly: round-off is left
EXACT = {"method": "rk4"}
ROUNDOFF = 1e-12


@pytest.fixture(autouse=True)
def float64_on_one_thread() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


class Ramp(nn.Module):
    """y' = θ t, y(0) = 0: y(T) = θT²/2."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.theta * t + 0 * y


# J(T, θ) = ½(θT²/2 − A)² + C/2 T² + R/2 θ². With A = C + R/C it has a minimum at θ* = 1, T*² = 2R/C, where the
# residual is −C, so that J_TT = T*², J_θθ = T*⁴/4 + R, J_Tθ = T*³/2 − C T*.
C, R = 0.4, 1.0
A = C + R / C
BEST = math.sqrt(2 * R / C)
TT, THETA2, MIXED = BEST**2, BEST**4 / 4 + R, BEST**3 / 2 - C * BEST
RHO = MIXED**2 / (TT * THETA2)


def solved(field: nn.Module, T: Tensor, y0: Tensor, solver: Callable = odeint, **how) -> Tensor:
    return solver(field, y0, torch.stack([T.new_zeros(()), T]), **(how or EXACT))[-1]


def ramp_loss(field: Ramp, T: Tensor, solver: Callable = odeint) -> tuple[Tensor, Tensor]:
    end = solved(field, T, torch.zeros(1), solver)
    return 0.5 * (end - A).square().sum(), end


def measured(horizon: HorizonOptimizer, field: nn.Module, loss: Tensor, end: Tensor) -> None:
    """One backward pass and a measurement, in the order that the policy asks for."""
    if isinstance(horizon, HorizonNewton):
        horizon.measure(loss, end, field)
        loss.backward()
    else:
        loss.backward()
        horizon.measure()


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


class Net(nn.Module):
    """An encoder, a field of (t, y), and a decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.encoder, self.inner, self.decoder = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def field(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.inner(y) * (1 + torch.sin(t)))

    def forward(self, x: Tensor, T: Tensor, rtol: float) -> tuple[Tensor, Tensor]:
        end = odeint(self.field, self.encoder(x), torch.stack([T.new_tensor(0.2), T]), rtol=rtol, atol=rtol / 100)[-1]
        return (self.decoder(end) - torch.sin(x.sum(1, keepdim=True))).square().mean(), end


def test_derivatives_are_those_of_the_whole_model() -> None:
    """Q_T, Q_TT and Q_Tθ, also in encoder and decoder, against differentiation of the closed solve, twice."""
    net, T, x = Net(), torch.tensor(1.1, requires_grad=True), torch.randn(5, 2, generator=torch.manual_seed(0))
    horizon = HorizonNewton(T, net.parameters(), begin=0.2)
    loss, end = net(x, T, 1e-10)
    horizon.measure(loss, end, net.field)
    (slope,) = torch.autograd.grad(loss, T, create_graph=True)
    curvature, *mixed = torch.autograd.grad(slope, [T, *net.parameters()], allow_unused=True)
    seen = horizon._measured
    assert seen is not None
    # two solves at tolerance 1e-10
    assert seen.slope == pytest.approx(slope.item(), rel=1e-8)
    assert seen.curvature == pytest.approx(curvature.item(), rel=1e-8)
    assert sum(q is not None for q in mixed) == len(seen.mixed) == 6
    for q, (_, _, found) in zip((q for q in mixed if q is not None), seen.mixed, strict=True):
        torch.testing.assert_close(found, q, rtol=1e-7, atol=1e-9)


def test_derivatives_are_those_of_horizon_derivatives_and_the_published_ones_its_gauss_newton_form() -> None:
    field, T = Ramp(0.8), torch.tensor(1.3, requires_grad=True)
    loss = lambda y: 0.5 * (y[-1] - A).square().sum()  # noqa: E731
    truth = horizon_derivatives(field, torch.zeros(1), torch.tensor([0.0, 1.3]), loss, **TIGHT)
    for make, curvature, mixed in [
        (HorizonNewton, truth.TT, truth.Ttheta),
        (HorizonFeedback, truth.TT_gauss_newton, truth.Ttheta_gauss_newton),
    ]:
        field.zero_grad()
        T.grad = None
        horizon = make(T, [field.theta], penalty=1.0)
        measured(horizon, field, *ramp_loss(field, T))
        seen = horizon._measured
        assert seen is not None
        assert seen.slope == pytest.approx(truth.T.item(), rel=1e-10)
        assert seen.curvature == pytest.approx(curvature.item(), rel=1e-10)
        assert seen.mixed[0][2].item() == pytest.approx(mixed[0].item(), rel=1e-10)


def test_best_time_of_a_network_is_found() -> None:
    net, T = Net(), torch.tensor(0.7, requires_grad=True)
    x = torch.randn(5, 2, generator=torch.manual_seed(0))
    c = 0.05
    horizon = HorizonNewton(T, [], penalty=c, begin=0.2)
    for _ in range(6):
        loss, end = net(x, T, 1e-8)
        horizon.measure(loss, end, net.field)
        horizon.step()
    with torch.no_grad():
        J = lambda s: (net(x, torch.tensor(s), 1e-8)[0] + c / 2 * (s - 0.2) ** 2).item()  # noqa: E731
        best = minimize_scalar(J, bounds=(0.25, 3.0), method="bounded", options={"xatol": 1e-6}).x
    # a search on values finds the place to the root of their error, 1e-8
    assert T.item() == pytest.approx(best, abs=1e-4)


class Cosine(nn.Module):
    """y' = cos t: y(T) = sin T, and L = −y²/2 has its maxima at kπ and its minima between them."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(t) + 0 * y


def check_maximum_is_left(make: Callable) -> None:
    for start in (math.pi - 0.2, math.pi + 0.2):
        field, T = Cosine(), torch.tensor(start, requires_grad=True)
        horizon = make(T, [])
        found = []
        for _ in range(12):
            end = solved(field, T, torch.zeros(1), rtol=1e-8, atol=1e-10)
            horizon.measure(-0.5 * end.square().sum(), end, field)
            horizon.step()
            found.append(T.item())
        assert abs(found[0] - math.pi) > 0.3
        assert abs(math.cos(found[-1])) < 1e-6
        assert not horizon.held


def test_a_maximum_is_left_downhill() -> None:
    check_maximum_is_left(HorizonNewton)

    class Plain(HorizonNewton):
        def _change(self, seen, length, penalty):
            return -(seen.slope + penalty * length) / (seen.curvature + penalty)

    with pytest.raises(AssertionError):
        check_maximum_is_left(Plain)


def test_a_step_at_most_doubles_or_halves_the_time() -> None:
    for slope, expected in [(-1e6, 3.0), (1e6, 1.5)]:
        T = torch.tensor(2.0, requires_grad=True)
        horizon = HorizonDescent(T, [], begin=1.0)
        (slope * T).backward()
        horizon.measure()
        horizon.step()
        assert T.item() == expected and horizon.held
    T = torch.tensor(2.0, requires_grad=True)
    horizon = HorizonNewton(T, [])
    end = torch.stack([T * 2.0])  # y' = 2, L = y: no curvature at all
    horizon.measure(end.sum(), end, lambda t, y: 2 + 0 * y)
    horizon.step()
    assert T.item() == 1.0 and horizon.held


def test_averages_are_saved_and_go_on_the_same() -> None:
    def run(T: Tensor, horizon: HorizonFeedback, steps: int) -> None:
        field = Ramp(1.0)
        for _ in range(steps):
            field.zero_grad()
            measured(horizon, field, *ramp_loss(field, T))
            horizon.step()

    options = {"penalty": C, "learning_rate": 0.2, "decay": 0.9}
    T = torch.tensor(1.0, requires_grad=True)
    horizon = HorizonFeedback(T, [], **options)
    run(T, horizon, 3)
    other = T.detach().clone().requires_grad_()
    again = HorizonFeedback(other, [], **options)
    again.load_state_dict(horizon.state_dict())
    run(T, horizon, 3)
    run(other, again, 3)
    assert T.item() == other.item()
    fresh = torch.tensor(1.0, requires_grad=True)
    run(fresh, HorizonFeedback(fresh, [], **{**options, "decay": 0.0}), 6)
    assert fresh.item() != T.item()


def test_averages_are_exponential() -> None:
    T = torch.tensor(1.0, requires_grad=True)
    horizon = HorizonFeedback(T, [], penalty=1.0, decay=0.75, learning_rate=0.5)
    for slope in (2.0, 4.0):
        (slope * T).backward()
        horizon.measure()
    horizon.step()
    assert T.item() == pytest.approx(max(0.5, 1 - 0.5 * (2.5 + 1.0) / (0.75 * 4 + 0.25 * 16 + 1.0)), rel=1e-15)


def test_learning_rate_schedulers_apply() -> None:
    T = torch.tensor(1.0, requires_grad=True)
    horizon = HorizonDescent(T, [], learning_rate=0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(horizon, 0.5)
    for expected in (1.25, 1.375):
        (-0.5 * T).backward()
        horizon.measure()
        horizon.step()
        scheduler.step()
        assert T.item() == expected


def _moved() -> None:
    T = torch.tensor(1.0, requires_grad=True)
    horizon = HorizonDescent(T, [])
    (2 * T).backward()
    horizon.measure()
    with torch.no_grad():
        T += 1
    horizon.step()


def _nan() -> None:
    T = torch.tensor(1.0, requires_grad=True)
    (T * math.nan).backward()
    HorizonDescent(T, []).measure()


def _newton(other: bool, part: bool) -> None:
    field, T = Ramp(1.0), torch.tensor(1.0, requires_grad=True)
    y = odeint(field, torch.zeros(2), torch.stack([T.new_zeros(()), T]))
    loss = y[-1].sum()
    HorizonNewton(T, []).measure(loss, y[-1] if other else y[-1].detach(), lambda t, y: y[:1] if part else y)


def leaf(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: HorizonFeedback(leaf(1.0), [], penalty=0.0), "the step −1/Q_T explodes"),
        (lambda: HorizonDescent(torch.tensor(1.0), []), "requires_grad=False"),
        (lambda: HorizonDescent(torch.ones(2, requires_grad=True), []), r"shape \(2,\)"),
        (lambda: HorizonDescent(leaf(1.0), [], begin=1.0), "T is 1 and t0 1"),
        (lambda: (lambda T: HorizonDescent(T, [T]))(leaf(1.0)), "T is among theta"),
        (lambda: HorizonDescent(leaf(1.0), [], decay=1.0), "decay=1.0"),
        (lambda: HorizonDescent(leaf(1.0), [], penalty=-1.0), "penalty=-1.0"),
        (lambda: HorizonDescent(leaf(1.0), []).step(), "without measure"),
        (lambda: HorizonDescent(leaf(1.0), []).measure(), "T has no gradient"),
        (_moved, "T was 1 when it was measured and is 2 now"),
        (_nan, "Q_T is nan"),
        (lambda: _newton(True, False), "does not depend on the tensor `end`"),
        (lambda: _newton(False, False), "no graph"),
    ],
)
def test_misuse_is_refused(act: Callable, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        act()


def test_end_of_another_shape_is_refused() -> None:
    field, T = Ramp(1.0), leaf(1.0)
    end = solved(field, T, torch.zeros(2))
    with pytest.raises(BadInput, match=r"shape \(1,\) and end \(2,\)"):
        HorizonNewton(T, []).measure(end.sum(), end, lambda t, y: y[:1])
