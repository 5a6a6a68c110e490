"""The share of a step that counts, where a solve overshoots its outputs, or ends in a step of no length."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq
from test_curvature import ADAPTIVE, D, Dense, each_solve, made
from torch import Tensor

from odecheck.curvature import exact_blocks, kronecker_factors

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
