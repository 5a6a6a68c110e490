"""Layers that share a name or a weight, that are frozen on the way, and whose weights are made of something else."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, weight_norm

from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.optim import SNOpt
from tests.optim.test_snopt import TIMES, D, Field, each_solve


class Two(nn.Module):
    """One weight in two layers, or one layer called twice."""

    def __init__(self, tie: bool) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3) if tie else self.a
        if tie:
            self.b.weight, self.b.bias = self.a.weight, self.a.bias

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.b(torch.tanh(self.a(y))))


def made(kind, *options) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return kind(*options).to(D), torch.randn(5, 3, dtype=D)


def back(field, y0, solve=torchdiffeq.odeint_adjoint) -> None:
    field.zero_grad()
    solve(field, y0, TIMES, rtol=1e-4, atol=1e-6)[-1].square().sum(1).mean().backward()


def slopes(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def test_fields_of_equal_names_are_all_preconditioned():
    torch.manual_seed(0)
    one, two, head = Field().to(D), Field().to(D), nn.Linear(2, 1).to(D)
    y0 = torch.randn(5, 2, dtype=D)

    def backward() -> None:
        y = torchdiffeq.odeint_adjoint(one, y0, TIMES)[-1]
        head(torchdiffeq.odeint_adjoint(two, y, TIMES)[-1]).square().mean().backward()

    found = kronecker_factors(head, backward, fields=[one, two])
    assert set(found) == {"first", "last", "fields[1].first", "fields[1].last"}
    alone = kronecker_factors(nn.ModuleDict({"one": one, "two": two}), backward)
    for name, path in (("first", "one.first"), ("fields[1].first", "two.first"), ("fields[1].last", "two.last")):
        torch.testing.assert_close(found[name].dense(), alone[path].dense(), rtol=1e-12, atol=1e-15)
    for field in (one, two, head):
        field.zero_grad()
    precondition = SNOpt(head, fields=[one, two])
    backward()
    before = [slopes(field) for field in (one, two)]
    precondition.step()
    assert not any(torch.equal(b[n], g) for b, f in zip(before, (one, two), strict=True) for n, g in slopes(f).items())


@each_solve
def test_tied_layers_are_one_layer_that_is_called_twice(solve):
    """Its factors, its integrals and its step; with a damping beyond everything P is G/ε, once."""
    (tied, y0), (twice, _) = made(Two, True), made(Two, False)
    twice.load_state_dict({n: p for n, p in tied.state_dict().items() if n in twice.state_dict()})
    a, b = (kronecker_factors(f, lambda f=f: back(f, y0, solve)) for f in (tied, twice))
    assert set(a) == set(b) == {"a"}
    torch.testing.assert_close(a["a"].dense(), b["a"].dense(), rtol=1e-12, atol=1e-15)
    block = exact_blocks(tied, lambda: back(tied, y0, solve))["a"]
    slope = torch.cat([tied.a.weight.grad, tied.a.bias.grad[:, None]], 1)
    torch.testing.assert_close(block.integrals[0].mean(0), slope, rtol=1e-11, atol=1e-13)
    for damping in (0.1, 1e9):
        steps = []
        for field in (tied, twice):
            precondition = SNOpt(field, damping=damping, spectrum="factors")
            back(field, y0, solve)
            precondition.step()
            steps.append(field.a.weight.grad.clone())
        torch.testing.assert_close(steps[0], steps[1], rtol=1e-11, atol=1e-15)
    torch.testing.assert_close(damping * steps[0], slope[:, :3], rtol=1e-7, atol=0)


def test_layers_that_share_a_weight_alone_are_refused():
    field, _ = made(Two, True)
    field.b.bias = nn.Parameter(torch.zeros(3, dtype=D))
    with pytest.raises(ValueError, match=r"share their weight.*b\.bias = a\.bias"):
        SNOpt(field)
    conv = nn.Sequential(nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, stride=2, bias=False))
    conv[1].weight = conv[0].weight
    with pytest.raises(ValueError, match="agree in stride"):
        SNOpt(conv)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("stale", [False, True], ids=["no gradient", "an old gradient"])
def test_a_bias_that_is_frozen_on_the_way(decay, stale):
    """Until the next refresh its gradient counts as zero; from then on the block is that of the weight alone."""
    field, y0 = made(Two, False)
    precondition = SNOpt(field, damping=0.1, refresh=3, decay=decay, spectrum="factors")
    back(field, y0)
    precondition.step()
    kept = precondition.state[field.a.weight]
    state = {name: kept[name].clone() for name in ("columns", "outputs", "spectrum")}
    field.a.bias.requires_grad_(False)
    for k in (1, 2, 3):
        field.a.bias.grad = torch.ones(3, dtype=D) if stale else None
        field.a.weight.grad = None
        y = torchdiffeq.odeint_adjoint(field, y0, TIMES, rtol=1e-4, atol=1e-6)[-1]
        y.square().sum(1).mean().backward()
        slope = field.a.weight.grad.clone()
        precondition.step()
        if k < 3:
            basis = np.kron(state["outputs"], state["columns"])
            block = (basis * state["spectrum"].numpy().ravel()) @ basis.T
            padded = np.concatenate([slope.numpy(), np.zeros((3, 1))], 1)
            expected = np.linalg.solve(block + 0.1 * np.eye(12), padded.ravel()).reshape(3, 4)[:, :3]
            np.testing.assert_allclose(field.a.weight.grad.numpy(), expected, rtol=1e-9)
        assert field.a.bias.grad is None or torch.equal(field.a.bias.grad, torch.ones(3, dtype=D))
    for _ in range(3):
        back(field, y0)
        precondition.step()
    kept = precondition.state[field.a.weight]
    assert kept["columns"].shape == (3, 3)
    precondition.load_state_dict(copy.deepcopy(precondition.state_dict()))


def test_a_weight_that_is_frozen_on_the_way_and_freed_again():
    field, y0 = made(Two, True)
    model = nn.ModuleDict({"field": field, "other": Field().to(D)})
    precondition = SNOpt(model, refresh=1)
    for free in (True, False, True):
        field.a.weight.requires_grad_(free)
        model.zero_grad()
        y = torchdiffeq.odeint_adjoint(model["other"], y0[:, :2], TIMES)[-1]
        y = torchdiffeq.odeint_adjoint(field, torch.cat([y, y[:, :1]], 1), TIMES)[-1]
        y.square().sum(1).mean().backward()
        if not free:
            field.a.weight.grad = torch.ones(3, 3, dtype=D)
        precondition.step()
        assert free or torch.equal(field.a.weight.grad, torch.ones(3, 3, dtype=D))
    assert precondition.state_dict()["state"]


OTHERWISE = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm of old": weight_norm,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 2),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_layers_whose_weight_is_made_of_others_are_left_alone(how):
    field, y0 = made(Field)
    y0 = y0[:, :2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        OTHERWISE[how](field.first)
    with pytest.warns(UserWarning, match="the gradients of first stay as they are"):
        precondition = SNOpt(field, refresh=1)
    for _ in range(2):
        back(field, y0)
        before = slopes(field)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            precondition.step()
        changed = {name for name, g in slopes(field).items() if not torch.equal(g, before[name])}
        assert changed == {"last.weight"}
    precondition.load_state_dict(precondition.state_dict())
    with pytest.raises(ValueError, match=r"no linear.*made of other parameters"):
        SNOpt(field.first)
