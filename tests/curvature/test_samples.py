"""How many samples there are is told, decided by the calls of layers, or asked for: never guessed."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.errors import CurvatureError
from odecheck.optim import SNOpt
from tests.curvature.test_kronecker import D, each_solve

TIMES = torch.tensor([0.0, 0.7], dtype=D)
HOW = {"rtol": 1e-6, "atol": 1e-8}


class Field(nn.Module):
    """A layer called in a way of one's choice, for any state."""

    def __init__(self, layer: nn.Module, call=lambda layer, y: layer(y)) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, t: Tensor, y):
        if isinstance(y, tuple):
            return tuple(torch.tanh(self.call(self.layer, x)) if x.dim() > 1 else x.square().mean() for x in y)
        return torch.tanh(self.call(self.layer, y))


def factors(field, state, *, samples=None, by: int, solve=torchdiffeq.odeint_adjoint):
    def backward() -> None:
        out = solve(field, state, TIMES, **HOW)
        (out if isinstance(out, Tensor) else next(x for x in out if x.dim() > 2))[-1].square().sum().div(by).backward()

    return kronecker_factors(field, backward, samples=samples)["layer"]


def same(a, b) -> None:
    torch.testing.assert_close(a.A, b.A, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(a.B, b.B, rtol=1e-5, atol=1e-9)


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 3).to(D)


def conv() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1).to(D)


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(1))


@each_solve
def test_a_single_image_without_a_batch(solve):
    """(channels, height, width) with a convolution called on it is one sample."""
    field, image = Field(conv()), rows(3, 4, 5)
    same(factors(field, image, by=1, solve=solve), factors(field, image[None], by=1, solve=solve))


def test_a_tuple_whose_first_part_is_a_number():
    field, y = Field(linear()), rows(4, 3)
    same(factors(field, (torch.zeros((), dtype=D), y), by=4), factors(field, y, by=4))


def test_parts_of_a_tuple_that_do_not_agree_are_asked_for():
    field, y = Field(linear()), rows(4, 3)
    state = (y, rows(2, 3))
    with pytest.raises(CurvatureError, match=r"shapes \(4, 3\), \(2, 3\).*Pass samples="):
        factors(field, state, by=4)
    with pytest.raises(CurvatureError, match=r"gives \(2, 3\) in a solve of 4 samples"):
        factors(field, state, by=4, samples=lambda state: len(state[0]))


def test_samples_that_are_not_the_first_axis_are_asked_for():
    field, y = Field(linear()), rows(4, 3)
    with pytest.raises(CurvatureError, match=r"looks like a single sample.*Pass samples="):
        factors(field, y[None], by=4)
    for told in (4, lambda state: state.shape[1]):
        same(factors(field, y[None], by=4, samples=told), factors(field, y, by=4))
    # the first axis it is, and the others are positions: A sums over them, B is their mean
    one, many = factors(field, y[None], by=1, samples=len), factors(field, y, by=1, samples=4)
    torch.testing.assert_close(one.A, 4 * many.A, rtol=1e-5, atol=0)
    torch.testing.assert_close(one.B, many.B / 16, rtol=1e-5, atol=1e-9)


def test_a_flat_state_of_several_rows_is_asked_for():
    """(batch · features) and (points of a grid) look alike."""
    field = Field(linear(), lambda layer, y: layer(y.reshape(-1, 3)).flatten())
    with pytest.raises(CurvatureError, match="looks like a single sample"):
        factors(field, rows(12), by=4)
    same(factors(field, rows(12), by=4, samples=4), factors(Field(linear()), rows(12).reshape(4, 3), by=4))


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_rows_in_another_order_are_refused(samples):
    """Whatever divides whatever. A batch of one may stand on any axis."""
    y = rows(samples, 3)
    wanted = factors(Field(linear()), y, by=samples)
    ahead = Field(linear(), lambda layer, y: layer(y[None])[0])
    stacked = Field(linear(), lambda layer, y: layer(torch.stack([y, y.sin(), y.cos(), y, y])).sum(0))
    behind = Field(linear(), lambda layer, y: layer(torch.stack([y, y.sin()], 1)).sum(1))
    if samples == 1:
        same(factors(ahead, y, by=1), wanted)
        assert factors(behind, y, by=1, samples=1).A[-1, -1].item() == pytest.approx(2 * 0.7, rel=1e-9)
        return
    for field in (ahead, stacked):
        with pytest.raises(CurvatureError, match=rf"in a solve of {samples} samples, and which rows belong"):
            factors(field, y, by=samples)
    assert factors(behind, y, by=samples).A[-1, -1].item() == pytest.approx(2 * 0.7, rel=1e-9)


def test_rows_one_after_the_other_are_positions_of_which_no_single_samples_are_known():
    field = Field(linear(), lambda layer, y: layer(torch.cat([y, y.sin()])).reshape(2, -1, 3).sum(0))
    axis = Field(linear(), lambda layer, y: layer(torch.stack([y, y.sin()], 1)).sum(1))
    y = rows(4, 3)
    same(factors(field, y, by=4), factors(axis, y, by=4))

    def backward() -> None:
        torchdiffeq.odeint_adjoint(field, y, TIMES)[-1].square().sum(1).mean().backward()

    with pytest.raises(CurvatureError, match=r"Call it with \(4, positions"):
        exact_blocks(field, backward)


def test_what_is_wrong_is_said_at_the_refresh_and_the_gradient_is_the_ordinary_one():
    field, y = Field(linear()), rows(1, 4, 3)
    torchdiffeq.odeint_adjoint(field, y, TIMES)[-1].square().sum(2).mean().backward()
    ordinary = field.layer.weight.grad.clone()
    for samples in (None, 0, lambda state: state):
        field.zero_grad()
        precondition = SNOpt(field, samples=samples)
        torchdiffeq.odeint_adjoint(field, y, TIMES)[-1].square().sum(2).mean().backward()
        assert torch.equal(field.layer.weight.grad, ordinary)
        with pytest.raises(CurvatureError, match="Pass samples="):
            precondition.step()
        assert torch.equal(field.layer.weight.grad, ordinary)
    precondition = SNOpt(field, samples=4)
    torchdiffeq.odeint_adjoint(field, y, TIMES)[-1].square().sum(2).mean().backward()
    precondition.step()
