"""The published rule, written out by hand beside the optimizer, over refreshes with changing parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.optim import SNOpt
from tests.optim.test_snopt import TIMES, D, loss_of, made

BATCHES = [slice(0, 6), slice(0, 6), slice(1, 5), slice(2, 6), slice(0, 6), slice(0, 3)]


class Pixels(nn.Module):
    """A convolution inside a solve, with a time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.conv(y)) * torch.cos(t)


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.field, self.end = Pixels(), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torchdiffeq.odeint_adjoint(self.field, x, TIMES, rtol=1e-4, atol=1e-6)[-1]
        return self.end(y.mean((2, 3)))


def images() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return Images().to(D), torch.randn(6, 2, 4, 4, dtype=D), torch.tensor([0, 1, 2, 0, 1, 2])


class ByHand:
    """s ← a s + (1 − a) n (U_Bᵀ G U_A)² at every step, s = β αᵀ at a refresh, in numpy."""

    def __init__(self, average: float, damping: float) -> None:
        self.average, self.damping = average, damping
        self.bases: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.s: dict[str, np.ndarray] = {}

    def refresh(self, name: str, a: np.ndarray, b: np.ndarray) -> None:
        alpha, u_a = np.linalg.eigh(a)
        beta, u_b = np.linalg.eigh(b)
        self.bases[name], self.s[name] = (u_a, u_b), np.outer(beta.clip(0), alpha.clip(0))

    def step(self, name: str, gradient: np.ndarray, samples: int) -> np.ndarray:
        u_a, u_b = self.bases[name]
        turned = u_b.T @ gradient @ u_a
        self.s[name] = self.average * self.s[name] + (1 - self.average) * samples * turned**2
        return u_b @ (turned / (self.s[name] + self.damping)) @ u_a.T


def matrix(layer: nn.Module) -> np.ndarray:
    weight = layer.weight.grad.flatten(1)
    return (weight if layer.bias is None else torch.cat([weight, layer.bias.grad[:, None]], 1)).numpy().copy()


@pytest.mark.parametrize(
    ("model", "layers"), [(made, "ode"), (made, "all"), (images, "all")], ids=["dense", "dense, all", "convolution"]
)
def test_six_steps_with_two_refreshes_are_the_published_rule(model, layers):
    (model, x, label), twin = model(), model()[0]
    precondition = SNOpt(model, damping=0.02, refresh=4, layers=layers, average=0.6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    by_hand, named = ByHand(0.6, 0.02), dict(model.named_modules())
    for k, rows in enumerate(BATCHES):
        optimizer.zero_grad()
        if k % 4 == 0:
            twin.load_state_dict(model.state_dict())
            factors = kronecker_factors(
                twin, lambda rows=rows: loss_of(twin, x[rows], label[rows]).backward(), layers=layers
            )
            for name, found in factors.items():
                by_hand.refresh(name, found.A.numpy(), found.B.numpy())
        loss_of(model, x[rows], label[rows]).backward()
        wanted = {name: by_hand.step(name, matrix(named[name]), len(x[rows])) for name in by_hand.bases}
        precondition.step(samples=len(x[rows]))
        for name, expected in wanted.items():
            np.testing.assert_allclose(
                matrix(named[name]), expected, rtol=1e-8, atol=1e-11 * np.abs(expected).max(), err_msg=f"{name}, {k}"
            )
        optimizer.step()
    assert by_hand.bases


def test_without_a_number_the_batch_has_the_size_of_the_last_refresh():
    kept = []
    for samples in (None, 6):
        model, x, label = made()
        precondition = SNOpt(model, refresh=10)
        for rows in (slice(0, 6), slice(0, 2)):
            model.zero_grad()
            loss_of(model, x[rows], label[rows]).backward()
            precondition.step(samples=samples)
        kept.append(precondition.state[model.one.first.weight]["spectrum"])
    assert torch.equal(*kept)


def test_a_sum_of_losses_has_the_spectrum_of_their_mean():
    kept = []
    for reduction, by in (("mean", 1.0), ("sum", 6.0)):
        model, x, label = made(fixed)
        precondition = SNOpt(model, reduction=reduction)
        (by * loss_of(model, x, label)).backward()
        precondition.step()
        kept.append(precondition.state[model.one.first.weight]["spectrum"])
    torch.testing.assert_close(*kept, rtol=1e-9, atol=1e-15)


def fixed(field, y, times, **_):
    """A solve whose steps do not follow the size of its cotangents."""
    return torchdiffeq.odeint_adjoint(field, y, times, method="rk4", options={"step_size": 0.25})


def test_second_moments_of_samples_are_those_of_the_exact_block_in_the_basis():
    model, x, label = made()
    blocks = exact_blocks(model, lambda: loss_of(model, x, label).backward())
    model.zero_grad()
    precondition = SNOpt(model, spectrum="samples", damping=0.02)
    loss_of(model, x, label).backward()
    gradient = matrix(model.one.first)
    precondition.step()
    state = precondition.state[model.one.first.weight]
    basis = torch.kron(state["outputs"], state["columns"])
    inside = basis.T @ blocks["one.first"].exact() @ basis
    torch.testing.assert_close(inside.diagonal().reshape(state["spectrum"].shape), state["spectrum"])
    u_a, u_b = state["columns"].numpy(), state["outputs"].numpy()
    expected = u_b @ ((u_b.T @ gradient @ u_a) / (state["spectrum"].numpy() + 0.02)) @ u_a.T
    np.testing.assert_allclose(matrix(model.one.first), expected, rtol=1e-9)


def test_what_was_saved_before_there_was_a_choice_goes_on_as_it_was():
    model = made()[0]
    saved = SNOpt(model, spectrum="factors").state_dict()
    for group in saved["param_groups"]:
        del group["spectrum"], group["average"]
    precondition = SNOpt(model)
    precondition.load_state_dict(saved)
    assert precondition.param_groups[0]["spectrum"] == "factors"
