"""What is gathered of single samples integrates to the gradient itself, and the error of a product has two sources."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import odecheck
from odecheck.curvature import exact_blocks
from tests.curvature.solves import (
    ADAPTIVE,
    FIXED,
    SOLVES,
    Dense,
    Pixels,
    backward_of,
    each_solve,
    made,
)

HOW = {
    **{m: {"method": m, "rtol": 1e-4, "atol": 1e-6} for m in ADAPTIVE},
    **{m: {"method": m, "options": {"step_size": 0.2}} for m in FIXED},
    "landing": {"method": "dopri5", "rtol": 1e-4, "atol": 1e-6, "options": {"step_t": torch.tensor([0.7, 1.5])}},
    "a jump": {"method": "dopri5", "rtol": 1e-4, "atol": 1e-6, "options": {"jump_t": torch.tensor([0.4])}},
    "a first step": {"method": "dopri5", "rtol": 1e-4, "atol": 1e-6, "options": {"first_step": 0.1}},
    "many rejected": {"method": "dopri5", "rtol": 1e-6, "atol": 1e-8, "options": {"first_step": 1.4}},
    "cubic outputs": {"method": "rk4", "options": {"step_size": 0.2, "interp": "cubic"}},
}


TIMES = [(0.0, 0.7, 1.5), (1.5, 0.6, 0.0), (0.3, 0.31)]


ASKED = [
    (name, how, times)
    for name in SOLVES
    for how in HOW
    for times in TIMES
    # the step ends of "landing" are those times; every output of odecheck.odeint is a step's end
    if (how != "landing" or times[-1] == 1.5) and (name, how) != ("odecheck", "cubic outputs")
]


@pytest.mark.parametrize(("name", "how", "times"), ASKED, ids=str)
def test_what_is_gathered_integrates_to_the_gradient_itself(name, how, times):
    """Σ_n ∫ g_n zᵀ dt is dL/d(W, b) of that very solve, to round-off: the weights are those of its steps."""
    solve = SOLVES[name]
    field, y0 = made(Dense, 3, 2)
    blocks = exact_blocks(field, backward_of(solve, field, y0, times, **HOW[how]))
    assert set(blocks) == {"first", "again", "last"}
    for name, layer in field.named_children():
        got = blocks[name].integrals[0].mean(0)
        expected = (
            layer.weight.grad if layer.bias is None else torch.cat([layer.weight.grad, layer.bias.grad[:, None]], 1)
        )
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)


@each_solve
def test_the_same_for_a_convolution(solve):
    field, y0 = made(Pixels, 2, 2, 4, 5)
    blocks = exact_blocks(field, backward_of(solve, field, y0, (0.0, 0.7), method="dopri5", rtol=1e-3, atol=1e-5))
    conv, back = field.conv, field.back
    got = blocks["conv"].integrals[0].mean(0)
    expected = torch.cat([conv.weight.grad.flatten(1), conv.bias.grad[:, None]], 1)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(blocks["back"].integrals[0].mean(0), back.weight.grad.flatten(1), rtol=1e-11, atol=1e-13)


def test_of_one_sample_the_error_is_of_second_order_in_the_length():
    """A ⊗ B is exact for z and g constant in time: its relative error falls with the square of T − t0."""
    field, y0 = made(Dense, 1, 2)
    errors = []
    for length in (0.2, 0.1, 0.05):
        times = (0.0, length)
        found = exact_blocks(
            field, backward_of(odecheck.odeint, field, y0, times, method="dopri8", rtol=1e-12, atol=1e-14)
        )
        split = found["first"].split()
        assert split.samples < 1e-12
        errors.append(split.total)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.08)
