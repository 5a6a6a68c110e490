"""Optimisers of the last time: their derivatives, what they keep, where they go, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.ode import odeint
from odecheck.optim.horizon import HorizonDescent, HorizonFeedback, HorizonNewton
from odecheck.second_order import horizon_derivatives
from tests.ramp import A, C, Ramp, measured, ramp_loss, solved

pytestmark = pytest.mark.usefixtures("in_float64")

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


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


@pytest.mark.parametrize("other", ["a term of T", "an output at T/2", "a start that moves", "another field"])
def test_a_loss_that_depends_on_T_otherwise_is_refused(other: str) -> None:
    """Q_T would be wrong by what is left out. An output at a time of its own is no such way."""
    for right in (True, False):
        T, wrong = torch.tensor(1.0, requires_grad=True), "" if right else other
        start, middle = (0.5 * T if wrong == "a start that moves" else torch.tensor(0.0)), torch.tensor(0.6)
        middle = 0.7 * T if wrong == "an output at T/2" else middle
        y = odeint(lambda t, y: -y * (1 + t), torch.ones(3, 2), torch.stack([start, middle, T]), **TIGHT)
        loss = y[1].square().mean() + (end := y[-1]).square().mean()
        loss = loss + 0.01 * T if wrong == "a term of T" else loss
        field = (lambda t, y: -y) if wrong == "another field" else (lambda t, y: -y * (1 + t))
        horizon = HorizonNewton(T, [])
        if right:
            horizon.measure(loss, end, field)
        else:
            with pytest.raises(BadInput, match="depends on T in another way"):
                horizon.measure(loss, end, field)
