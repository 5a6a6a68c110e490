"""Values of A and B of convolutions, and the step that is made of them, against loops over pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.curvature import factors, kronecker_factors
from odecheck.optim import SNOpt
from tests.curvature.solves import D, each_solve

STEP = 0.6


class Strided(nn.Module):
    """A convolution with stride, dilation and padding, and one without, in a field of images (2, 5, 6)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
        self.back = nn.Conv2d(3, 2, 1, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h = self.back(torch.tanh(self.down(y)))  # (samples, 2, 3, 4)
        return nn.functional.interpolate(h, size=y.shape[2:], mode="nearest") * (1 + t)


def patches(layer: nn.Conv2d, z: np.ndarray) -> np.ndarray:
    """(samples, pixels of the output, columns) by loops, zeros outside of the image."""
    (up, left), (sy, sx), (dy, dx) = layer.padding, layer.stride, layer.dilation
    high, wide = layer.kernel_size
    padded = np.pad(z, ((0, 0), (0, 0), (up, up), (left, left)))
    rows = (padded.shape[2] - dy * (high - 1) - 1) // sy + 1
    columns = (padded.shape[3] - dx * (wide - 1) - 1) // sx + 1
    found = np.zeros((len(z), rows * columns, z.shape[1] * high * wide + (layer.bias is not None)))
    found[..., -1] = 1.0  # overwritten where there is no bias
    for i in range(rows):
        for j in range(columns):
            k = 0
            for channel in range(z.shape[1]):
                for a in range(high):
                    for b in range(wide):
                        found[:, i * columns + j, k] = padded[:, channel, i * sy + a * dy, j * sx + b * dx]
                        k += 1
    return found


def by_hand(field: Strided, y0: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A and B of one Euler step from t = 0 to STEP: the adjoint solve looks at the end alone, once."""
    n = len(y0)
    end = (y0 + STEP * field(torch.zeros((), dtype=D), y0)).detach().requires_grad_()
    q = 2 * end.detach()  # of each sample's own loss, Σ y²
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        layer.register_forward_hook(lambda _m, args, out, name=name: seen.update({name: (args[0], out)}))
        for name, layer in field.named_children()
    ]
    value = field(torch.tensor(STEP, dtype=D), end)
    for handle in handles:
        handle.remove()
    cotangents = torch.autograd.grad(value, [out for _, out in seen.values()], q)
    found = {}
    for (name, (z, _)), g in zip(seen.items(), cotangents, strict=True):
        rows = patches(getattr(field, name), z.detach().numpy())
        pixels = g.flatten(2).numpy()  # (samples, outputs, pixels)
        a = sum(np.outer(rows[i, p], rows[i, p]) for i in range(n) for p in range(rows.shape[1]))
        b = sum(np.outer(pixels[i, :, p], pixels[i, :, p]) for i in range(n) for p in range(rows.shape[1]))
        found[name] = STEP * a / n, STEP * b / n / rows.shape[1]
    return found


def back(field: nn.Module, y0: Tensor, solve) -> None:
    field.zero_grad()
    y = solve(field, y0, torch.tensor([0.0, STEP], dtype=D), method="euler")[-1]
    (y.square().sum() / len(y0)).backward()


def made() -> tuple[Strided, Tensor]:
    return Strided().to(D), torch.randn(3, 2, 5, 6, dtype=D, generator=torch.Generator().manual_seed(1))


def values_are_right(solve) -> None:
    field, y0 = made()
    found = kronecker_factors(field, lambda: back(field, y0, solve))
    for name, (a, b) in by_hand(field, y0).items():
        np.testing.assert_allclose(found[name].A.numpy(), a, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(found[name].B.numpy(), b, rtol=1e-11, atol=1e-13)


def step_is_right(solve) -> None:
    field, y0 = made()
    precondition = SNOpt(field, damping=0.02, spectrum="factors")
    back(field, y0, solve)
    before = {name: p.grad.clone() for name, p in field.named_parameters()}
    precondition.step()
    for name, (a, b) in by_hand(field, y0).items():
        layer, flat = getattr(field, name), before[name + ".weight"].flatten(1)
        got = layer.weight.grad.flatten(1)
        if layer.bias is not None:
            flat = torch.cat([flat, before[name + ".bias"][:, None]], 1)
            got = torch.cat([got, layer.bias.grad[:, None]], 1)
        system = np.kron(b, a) + 0.02 * np.eye(flat.numel())
        expected = np.linalg.solve(system, flat.numpy().ravel()).reshape(flat.shape)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8, atol=1e-11 * np.abs(expected).max())


@each_solve
def test_values_of_a_and_b(solve):
    values_are_right(solve)


@each_solve
def test_a_step_is_the_dense_damped_solve(solve):
    step_is_right(solve)


def _summed(monkeypatch) -> None:
    """B summed over pixels, not averaged."""
    hold = factors.KroneckerSums.hold

    def wrong(self, layer, shape, z, g, samples):
        held = hold(self, layer, shape, z, g, samples)
        return replace(held, counts=replace(held.counts, positions=1))

    monkeypatch.setattr(factors.KroneckerSums, "hold", wrong)


def _scaled(monkeypatch) -> None:
    """One column of the patches scaled."""
    rows = factors.input_rows

    def wrong(layer, shape, z):
        found = rows(layer, shape, z).clone()
        found[:, 0] *= 1.5
        return found

    monkeypatch.setattr(factors, "input_rows", wrong)


@pytest.mark.parametrize("wrong", [_summed, _scaled])
@pytest.mark.parametrize("check", [values_are_right, step_is_right])
def test_wrong_factors_are_refuted(monkeypatch, wrong, check):
    wrong(monkeypatch)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(torchdiffeq.odeint_adjoint)
