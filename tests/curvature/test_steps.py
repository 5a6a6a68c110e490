"""The share of a step that counts, where a solve overshoots its outputs, or ends in a step of no length."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq

import odecheck
from odecheck.curvature import exact_blocks, kronecker_factors
from tests.curvature.test_kronecker import ADAPTIVE, D, Dense, each_solve, made

ADAPT = {"rtol": 1e-4, "atol": 1e-6}


def integrals_are_gradients(field, blocks) -> None:
    for name, layer in field.named_children():
        slope = [layer.weight.grad] if layer.bias is None else [layer.weight.grad, layer.bias.grad[:, None]]
        torch.testing.assert_close(
            blocks[name].integrals[0].mean(0), torch.cat(slope, 1).to(D), rtol=1e-11, atol=1e-13, check_dtype=False
        )


@each_solve
@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("used", [1, 2])
@pytest.mark.parametrize("times", [(0.0, 0.3, 0.35, 0.4, 1.5), (1.5, 0.6, 0.5, 0.45, 0.0)], ids=str)
def test_a_loss_of_the_first_outputs_alone(solve, method, used, times):
    """Until the adjoint solve comes to them its cotangent and gradients are zero: its times count all the same."""
    field, y0 = made(Dense, 3, 2)

    def backward() -> None:
        field.zero_grad()
        y = solve(field, y0, torch.tensor(times, dtype=D), method=method, **ADAPT)
        y[1 : 1 + used].square().sum((0, 2)).mean().backward()

    blocks = exact_blocks(field, backward)
    integrals_are_gradients(field, blocks)
    assert blocks["first"].factors.A[-1, -1].item() == pytest.approx(1.5, rel=1e-12)
    factors = kronecker_factors(field, backward)
    assert factors["first"].A[-1, -1].item() == pytest.approx(1.5, rel=1e-12)


@each_solve
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_solve_that_begins_inside_the_last_step_of_another(solve, weight):
    """The adjoint solve over [0, 0.95] goes past its end by some step in which that over [0, 0.02] then begins."""
    field, y0 = made(Dense, 3, 2)
    lengths = (0.02, 0.95)

    def backward() -> None:
        field.zero_grad()
        short, long = (
            solve(field, y0, torch.tensor([0.0, end], dtype=D), method="dopri5", rtol=1e-3, atol=1e-4)[-1]
            for end in lengths
        )
        (weight * short + long).square().sum(1).mean().backward()

    blocks = exact_blocks(field, backward)
    integrals_are_gradients(field, blocks)
    # each sample is seen by two solves
    assert blocks["first"].factors.A[-1, -1].item() == pytest.approx(sum(lengths), rel=1e-12)


def fixed(field, y0, times, step, method, solve=torchdiffeq.odeint_adjoint):
    def backward() -> None:
        field.zero_grad()
        y = solve(field, y0, times, method=method, options={"step_size": step})
        y[-1].square().sum(1).mean().backward()

    return backward


SHORT = [((0.25, 0.26), 0.01), ((0.0, 0.3), 0.1), ((0.0, 0.7), 0.1), ((39.6, 40.2), 0.2), ((7.02, 7.04), 0.02)]


@pytest.mark.parametrize("method", ["rk4", "midpoint", "euler"])
@pytest.mark.parametrize(
    ("solve", "dtype"),
    [(torchdiffeq.odeint_adjoint, torch.float32), (torchdiffeq.odeint_adjoint, D), (odecheck.odeint, D)],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_last_step_without_length(solve, dtype, method, backwards):
    """A fixed grid may end with one time twice, or twice but for round-off. Times alone may be float32."""
    found = 0
    for (start, end), step in SHORT:
        field, y0 = made(Dense, 3, 2)
        times = torch.tensor([end, start] if backwards else [start, end], dtype=dtype)
        lengths: list[float] = []
        field.callback_step_adjoint = lambda _t0, _y, dt, lengths=lengths: lengths.append(dt.item())
        blocks = exact_blocks(field, fixed(field, y0, times, step, method, solve))
        found += 0 <= min(lengths) < step / 1000
        integrals_are_gradients(field, blocks)
        length = abs(times[1] - times[0]).item()
        assert blocks["first"].factors.A[-1, -1].item() == pytest.approx(length, rel=2 * torch.finfo(dtype).eps)
    assert found or solve is not torchdiffeq.odeint_adjoint, "no case with a step of no length"


def test_intervals_as_of_measurements_in_float32():
    """From one measurement to the next with a fixed step: any of them may end in a step of no length."""
    field, y0 = made(Dense, 3, 2)
    field, y0 = field.float(), y0.float()
    short = 0
    field.callback_step_adjoint = lambda _t0, _y, dt: lengths.append(dt.item())
    for step in (0.1, 0.05, 0.2, 0.25, 0.02):
        for first in range(0, 400, 37):
            lengths: list[float] = []
            times = torch.tensor([first * step, (first + 4) * step])
            found = kronecker_factors(field, fixed(field, y0, times, step, "rk4"))
            short += min(lengths) == 0
            length = (times[1] - times[0]).item()
            assert found["first"].A[-1, -1].item() == pytest.approx(length, rel=1e-5)
    assert short > 5


def test_the_method_may_change_after_a_step_without_length():
    field, y0 = made(Dense, 3, 2)
    times, lengths = torch.tensor([0.25, 0.26], dtype=D), []
    field.callback_step_adjoint = lambda _t0, _y, dt: lengths.append(dt.item())

    def backward() -> None:
        field.zero_grad()
        y = y0
        for method in ("rk4", "midpoint"):
            y = torchdiffeq.odeint_adjoint(field, y, times, method=method, options={"step_size": 0.01})[-1]
        y.square().sum(1).mean().backward()

    integrals_are_gradients(field, exact_blocks(field, backward))
    assert min(lengths) < 1e-15
