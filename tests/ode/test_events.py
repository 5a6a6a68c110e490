"""Solves that end at an event: when, where, and how both move with what they depend on."""

from __future__ import annotations

import math

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.ode import odeint

METHODS = [{}, {"method": "rk4", "options": {"step_size": 0.01, "interp": "cubic"}}]


class Decay(nn.Module):
    """y' = −k y: y = level at τ = t0 + log(y0 / level) / k."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.tensor(0.8, dtype=torch.float64))
        self.calls = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return -self.k * y


def pieces() -> tuple[Decay, Tensor, Tensor, Tensor]:
    leaf = lambda *x: torch.tensor(x, dtype=torch.float64, requires_grad=True)  # noqa: E731
    return Decay(), leaf(2.0), leaf(0.5, 1.5), leaf(0.7)


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("forwards", [True, False])
def test_the_time_of_an_event_moves_with_all_that_it_depends_on(how: dict, forwards: bool) -> None:
    field, y0, t, level = pieces()
    if not forwards:
        t, level = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True), level.detach() + 2.3
        level.requires_grad_()
    when, y = odeint(field, y0, t, event_fn=lambda t, y: y - level, **how)
    k, start, at = 0.8, 2.0, float(level.detach())
    assert float(when) == pytest.approx(0.5 + math.log(start / at) / k, abs=1e-6)
    torch.testing.assert_close(y.detach()[:, 0], torch.tensor([start, at], dtype=torch.float64), rtol=1e-6, atol=0)
    got = torch.autograd.grad(when, [field.k, y0, t, level])
    exact = (-math.log(start / at) / k**2, 1 / (k * start), 1.0, -1 / (k * at))
    assert [float(g.reshape(-1)[0]) for g in got] == pytest.approx(exact, rel=1e-5)
    assert float(got[2][1]) == 0.0


def test_the_state_has_the_derivative_at_a_fixed_time_as_torchdiffeqs_has() -> None:
    found = []
    for solve in (odeint, torchdiffeq.odeint_adjoint):
        field, y0, t, _ = pieces()
        _, y = solve(field, y0, t, event_fn=lambda t, y: (y - 0.7).sum())
        y[-1].sum().backward()
        found.append([float(torch.as_tensor(x.grad).reshape(-1)[0]) for x in (field.k, y0, t)])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_odeint_event_moves_the_state_with_its_time() -> None:
    """The state stays at its level; only what the event does not fix would move."""
    field, y0, t, _ = pieces()
    pair = (y0, torch.zeros(1, dtype=torch.float64))  # the second counts the time

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = field

        def forward(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return self.inner(t, y[0]), torch.ones_like(y[1])

    when, (first, second) = torchdiffeq.odeint_event(
        Pair(), pair, t[0], event_fn=lambda t, y: y[0] - 0.7, odeint_interface=odeint
    )
    slope = 1 / (0.8 * 2.0)
    for value, right in ((when, slope), (first[-1], 0.0), (second[-1], slope)):
        (g,) = torch.autograd.grad(value.sum(), y0, retain_graph=True)
        assert float(g) == pytest.approx(right, abs=1e-6)


def test_the_first_of_several_events_ends_the_solve() -> None:
    field, y0, t, level = pieces()
    when, _ = odeint(field, y0, t, event_fn=lambda t, y: torch.cat([y - 0.1, y - level]))
    assert float(when) == pytest.approx(0.5 + math.log(2 / 0.7) / 0.8, abs=1e-6)
    (g,) = torch.autograd.grad(when, level)
    assert float(g) == pytest.approx(-1 / (0.8 * 0.7), rel=1e-5)


def test_it_costs_what_torchdiffeqs_costs() -> None:
    calls = []
    for solve in (odeint, torchdiffeq.odeint_adjoint):
        field, y0, t, _ = pieces()
        solve(field, y0, t, event_fn=lambda t, y: (y - 0.7).sum())
        calls.append(field.calls)
    assert calls[0] == calls[1]


def test_a_second_derivative_of_the_time_is_refused() -> None:
    field, y0, t, _ = pieces()
    when, _ = odeint(field, y0, t, event_fn=lambda t, y: y - 0.7)
    with pytest.raises(NotImplementedError, match="first derivatives alone"):
        torch.autograd.grad(when, y0, create_graph=True)
