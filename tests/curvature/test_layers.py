"""Layers as matrices: rows of inputs and cotangents, positions of a sample, and what counts as a layer."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

import odecheck
from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.curvature.layers import Counts, Shape, cotangent_rows, input_rows, named_layers, reparametrized, tied
from odecheck.errors import CurvatureError
from tests.curvature.solves import (
    D,
    Dense,
    backward_of,
    made,
    mean_loss,
)


class Gated(nn.Module):
    """y' = tanh(W y) ⊙ sigmoid(gate(t)): the gate is called once for all samples."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gate = nn.Linear(2, 2), nn.Linear(1, 2)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.linear(y)) * torch.sigmoid(self.gate(t.reshape(1)))


def test_a_layer_fed_with_the_time_alone():
    """A of the gate is ∫ (t, 1)ᵀ(t, 1) dt whatever the batch; B is (samples) · ∫ s sᵀ dt, s the summed cotangent."""
    field, y0 = made(Gated, 5, 2)
    how = {"method": "rk4", "options": {"step_size": 0.05}}
    found = kronecker_factors(field, backward_of(torchdiffeq.odeint_adjoint, field, y0, (0.0, 2.0), **how))["gate"]
    torch.testing.assert_close(found.A, torch.tensor([[8 / 3, 2], [2, 2]], dtype=D), rtol=1e-12, atol=0)
    one = made(Gated, 5, 2)[0]
    copies = y0[:1].expand(5, 2)  # equal samples: s is the gradient of a sample, and B is 5 times that of one
    same = kronecker_factors(one, backward_of(torchdiffeq.odeint_adjoint, one, copies, (0.0, 2.0), **how))["gate"]
    alone = kronecker_factors(one, backward_of(torchdiffeq.odeint_adjoint, one, y0[:1], (0.0, 2.0), **how))["gate"]
    torch.testing.assert_close(same.B, 5 * alone.B, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(same.A, alone.A, rtol=1e-12, atol=0)
    with pytest.raises(CurvatureError, match=r"t\.expand"):
        exact_blocks(field, backward_of(torchdiffeq.odeint_adjoint, field, y0, (0.0, 2.0), **how))


def test_further_axes_are_positions():
    """Rows (samples, positions, features): A sums over positions, B is their mean, as in a convolution by 1 × 1."""
    field, y0 = made(Dense, 3, 5, 2)
    how = {"method": "rk4", "options": {"step_size": 0.1}}
    found = kronecker_factors(field, backward_of(torchdiffeq.odeint_adjoint, field, y0, **how))
    assert found["first"].A[-1, -1].item() == pytest.approx(5 * 1.5, rel=1e-12)
    # called twice in each evaluation: two more positions for every one
    assert found["again"].A[-1, -1].item() == pytest.approx(2 * 5 * 1.5, rel=1e-12)
    flat, alone = made(Dense, 3, 5, 2)[0], y0.flatten(0, 1)
    t = torch.tensor((0.0, 0.7, 1.5), dtype=D)
    rows = kronecker_factors(flat, lambda: mean_loss(odecheck.odeint(flat, alone, t, **how)).backward())
    torch.testing.assert_close(found["last"].A, 5 * rows["last"].A, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found["last"].B, rows["last"].B, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 3)),
        (nn.Linear(3, 2, bias=False), (4, 5, 3)),
        (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (4, 2, 5, 6)),
        (nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular"), (2, 5, 6)),
    ],
)
def test_the_gradient_is_the_product_of_cotangents_and_inputs(layer, shape):
    """gᵀz as a matrix is the gradient of (W, b), and its parts are shaped as these."""
    torch.manual_seed(0)
    layer, z = layer.to(D), torch.randn(shape, dtype=D)
    out = layer(z)
    g = torch.randn_like(out)
    out.backward(g)
    form = Shape.of(layer)
    matrix = cotangent_rows(layer, form, g).T @ input_rows(layer, form, z)
    weight, bias = form.parts(matrix, layer.weight)
    torch.testing.assert_close(weight, layer.weight.grad, rtol=1e-12, atol=1e-12)
    assert (bias is None) == (layer.bias is None)
    if bias is not None:
        torch.testing.assert_close(bias, layer.bias.grad, rtol=1e-12, atol=1e-12)
    assert torch.equal(form.matrix(weight, bias), matrix)


def test_layers_are_linear_and_convolutional_ones_that_are_trained():
    model = nn.ModuleDict(
        {
            "linear": nn.Linear(2, 2),
            "frozen": nn.Linear(2, 2).requires_grad_(False),
            "grouped": nn.Conv2d(2, 2, 1, groups=2),
            "lazy": nn.LazyLinear(2),
            "norm": nn.BatchNorm1d(2),
            "conv": nn.Conv2d(2, 2, 1),
            "made of others": nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        }
    )
    field = nn.Linear(2, 2)
    named = named_layers(model, [field, model["linear"]])
    assert sorted(named.values()) == ["Linear", "conv", "linear"]
    assert reparametrized(model) == ["made of others"]


def test_layers_that_share_all_are_one_and_those_that_share_a_part_are_refused():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    with pytest.raises(ValueError, match="share their weight and differ in something else"):
        tied([a, b])
    b.bias = a.bias
    assert tied([a, b]) == {a: a, b: a}


@pytest.mark.parametrize(
    ("layer", "cotangent", "samples", "expected"),
    [
        (nn.Linear(3, 2), (4, 2), None, (4, 1, 1)),
        (nn.Linear(3, 2), (4, 5, 2), 4, (4, 5, 1)),
        (nn.Linear(3, 2), (2,), 4, (1, 1, 4)),  # called once for all samples
        (nn.Linear(3, 2), (8, 2), 4, (4, 2, 1)),
        (nn.Conv2d(1, 2, 1), (4, 2, 3, 3), 4, (4, 9, 1)),
        (nn.Conv2d(1, 2, 1), (2, 3, 3), 1, (1, 9, 1)),
    ],
)
def test_rows_of_a_call_are_samples_times_positions(layer, cotangent, samples, expected):
    found = Counts.of(layer, torch.zeros(cotangent), samples)
    assert (found.samples, found.positions, found.shared) == expected
