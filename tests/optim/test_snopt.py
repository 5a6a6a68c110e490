"""The preconditioner in a training loop: the step, what it leaves alone, and that it can be saved."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

import odecheck
from odecheck.curvature import kronecker_factors
from odecheck.errors import CurvatureError
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.optim import SNOpt

D = torch.float64
SOLVES = {"torchdiffeq": torchdiffeq.odeint_adjoint, "odecheck": odecheck.odeint}
each_solve = pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)
TIMES = torch.tensor([0.0, 1.0], dtype=D)


class Field(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, width), nn.Linear(width, 2, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(torch.cat([y, t.expand(len(y), 1)], 1))))


class Classifier(nn.Module):
    """Two ODE layers between two linear ones."""

    def __init__(self, solve) -> None:
        super().__init__()
        self.begin, self.end = nn.Linear(2, 2), nn.Linear(2, 3)
        self.one, self.two = Field(4), Field(5)
        self.solve = solve

    def forward(self, x: Tensor) -> Tensor:
        y = self.begin(x)
        for field in (self.one, self.two):
            y = self.solve(field, y, TIMES, rtol=1e-4, atol=1e-6)[-1]
        return self.end(y)


def made(solve=torchdiffeq.odeint_adjoint) -> tuple[Classifier, Tensor, Tensor]:
    torch.manual_seed(0)
    return Classifier(solve).to(D), torch.randn(6, 2, dtype=D), torch.tensor([0, 1, 2, 0, 1, 2])


def loss_of(model: nn.Module, x: Tensor, label: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x), label)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@each_solve
@pytest.mark.parametrize("layers", ["ode", "all"])
def test_a_step_is_the_dense_damped_solve(solve, layers):
    """G ↦ (A ⊗ B + ε I)⁻¹ vec G, with factors that were gathered by themselves, solved as one dense system."""
    model, x, label = made(solve)
    factors = kronecker_factors(model, lambda: loss_of(model, x, label).backward(), layers=layers)
    model.zero_grad()
    precondition = SNOpt(model, damping=0.01, layers=layers, spectrum="factors")
    loss_of(model, x, label).backward()
    before = gradients(model)
    precondition.step()
    after = gradients(model)
    seen = set()
    for name, found in factors.items():
        weight, bias = before[name + ".weight"], before.get(name + ".bias")
        matrix = weight if bias is None else torch.cat([weight, bias[:, None]], 1)
        system = np.kron(found.B.numpy(), found.A.numpy()) + 0.01 * np.eye(matrix.numel())
        expected = np.linalg.solve(system, matrix.numpy().ravel()).reshape(matrix.shape)
        got = (
            after[name + ".weight"]
            if bias is None
            else torch.cat([after[name + ".weight"], after[name + ".bias"][:, None]], 1)
        )
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
        seen |= {name + ".weight", name + ".bias"}
    assert {n.split(".")[0] for n in seen} == ({"one", "two"} if layers == "ode" else {"one", "two", "begin", "end"})
    for name in set(before) - seen:
        assert torch.equal(before[name], after[name])


@each_solve
def test_a_refresh_step_has_the_ordinary_gradient_and_leaves_the_model_alone(solve):
    model, x, label = made(solve)
    loss_of(model, x, label).backward()
    ordinary = gradients(model)
    model.zero_grad()
    untouched = {m: dict(vars(m)) for m in model.modules()}
    precondition = SNOpt(model, refresh=2)
    for due in (True, False, True):
        model.zero_grad()
        assert ("callback_step_adjoint" in vars(model.one)) is due
        loss_of(model, x, label).backward()
        assert all(torch.equal(g, ordinary[name]) for name, g in gradients(model).items())
        precondition.step()
    assert {m: dict(vars(m)) for m in model.modules()} == untouched
    precondition.step()
    precondition.close()
    assert {m: dict(vars(m)) for m in model.modules()} == untouched


@pytest.mark.parametrize("spectrum", ["running", "factors", "samples"])
def test_every_refresh_starts_anew(spectrum):
    """Two refreshes at the same point give the same factors: nothing is left of the first."""
    model, x, label = made()
    precondition = SNOpt(model, refresh=1, spectrum=spectrum)
    spectra = []
    for _ in range(2):
        model.zero_grad()
        loss_of(model, x, label).backward()
        precondition.step()
        spectra.append([s["spectrum"].clone() for s in precondition.state.values()])
    assert len(spectra[0]) == 4
    assert all(torch.equal(a, b) for a, b in zip(*spectra, strict=True))


def test_running_averages():
    model, x, label = made()
    precondition = SNOpt(model, refresh=1, decay=0.75)
    for rows in (slice(0, 3), slice(3, 6)):
        model.zero_grad()
        loss_of(model, x[rows], label[rows]).backward()
        precondition.step()
    fresh = [
        kronecker_factors(model, lambda r=r: loss_of(model, x[r], label[r]).backward())["one.first"]
        for r in (slice(0, 3), slice(3, 6))
    ]
    kept = precondition.state[model.one.first.weight]
    for name in ("A", "B"):
        expected = 0.75 * getattr(fresh[0], name) + 0.25 * getattr(fresh[1], name)
        torch.testing.assert_close(kept[name], expected, rtol=1e-12, atol=1e-15)


def train(model, precondition, optimizer, x, label, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, x, label).backward()
        precondition.step()
        optimizer.step()


@each_solve
@pytest.mark.parametrize("at", [3, 4], ids=["between refreshes", "before a refresh"])
@pytest.mark.parametrize(("decay", "spectrum"), [(0.0, "running"), (0.5, "factors"), (0.0, "samples")])
def test_saved_and_loaded_it_goes_on_bit_for_bit(solve, at, decay, spectrum):
    def parts():
        model, x, label = made(solve)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return (
            model,
            SNOpt(model, damping=0.1, refresh=4, decay=decay, radius=1.0, spectrum=spectrum),
            optimizer,
            x,
            label,
        )

    whole = parts()
    train(*whole, 9)
    first = parts()
    train(*first, at)
    file = io.BytesIO()
    torch.save([p.state_dict() for p in first[:3]], file)
    file.seek(0)
    second = parts()
    for part, state in zip(second[:3], torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    train(*second, 9 - at)
    for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_radius_is_the_length_of_the_step_in_the_damped_metric():
    model, x, label = made()
    for radius, shortened in ((1e-3, True), (1e6, False)):
        model.zero_grad()
        precondition = SNOpt(model, damping=0.01, radius=radius)
        loss_of(model, x, label).backward()
        before = gradients(model)
        precondition.step()
        after = gradients(model)
        free = SNOpt(model, damping=0.01)
        model.zero_grad()
        loss_of(model, x, label).backward()
        free.step()
        names = [n for n in before if n.startswith(("one", "two"))]
        length = sum(float((before[n] * gradients(model)[n]).sum()) for n in names) ** 0.5
        by = min(1.0, radius / length)
        assert (by < 1) is shortened
        for n in names:
            torch.testing.assert_close(after[n], by * gradients(model)[n], rtol=1e-10, atol=1e-16)


def test_momentum_and_weight_decay_are_the_wrapped_optimizers():
    """SGD with momentum on preconditioned gradients is what comes out, written by hand."""
    model, x, label = made()
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    train(model, SNOpt(model, refresh=2), optimizer, x, label, 3)
    precondition = SNOpt(twin, refresh=2)
    speed = [torch.zeros_like(p) for p in twin.parameters()]
    for _ in range(3):
        twin.zero_grad()
        loss_of(twin, x, label).backward()
        precondition.step()
        with torch.no_grad():
            for v, p in zip(speed, twin.parameters(), strict=True):
                v.mul_(0.5).add_(p.grad)
                p.sub_(0.1 * v)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_frozen_parameters_stay():
    model, x, label = made()
    model.one.first.bias.requires_grad_(False)
    model.two.last.weight.requires_grad_(False)
    precondition = SNOpt(model, layers="all")
    loss_of(model, x, label).backward()
    precondition.step()
    assert model.one.first.bias.grad is None and model.two.last.weight.grad is None
    assert precondition.state[model.one.first.weight]["columns"].shape == (3, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"damping": 0.0}, "damping is 0.0; it has to be positive"),
        ({"refresh": 0}, "refresh is 0"),
        ({"decay": 1.0}, "decay is 1.0"),
        ({"layers": "some"}, "'ode' or 'all'"),
        ({"reduction": "none"}, "'mean' or 'sum'"),
        ({"radius": 0.0}, "radius is 0.0"),
        ({"spectrum": "exact"}, "'running', 'factors', 'samples'"),
        ({"average": 1.0}, "average is 1.0"),
        ({"spectrum": "samples", "layers": "all"}, "single samples are known in solves alone"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        SNOpt(made()[0], **options)


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="no linear"):
        SNOpt(nn.Tanh())
    model, x, label = made(torchdiffeq.odeint)
    precondition = SNOpt(model)
    loss_of(model, x, label).backward()
    with pytest.raises(CurvatureError, match="odeint_adjoint"):
        precondition.step()
    assert "callback_step" not in vars(model.one)
    field = Field().to(D)
    precondition = SNOpt(field)
    y = torchdiffeq.odeint_adjoint(field, x, TIMES, method="rk4")[-1]
    (y.sum() * float("nan")).backward()
    with pytest.raises(CurvatureError, match="infinite or NaN"):
        precondition.step()


def test_memory_does_not_grow_with_the_steps():
    peaks = []
    for step in (0.1, 0.0125):
        field = Field().to(D)
        x = torch.randn(64, 2, dtype=D)
        precondition = SNOpt(field)
        y = torchdiffeq.odeint_adjoint(field, x, TIMES, method="rk4", options={"step_size": step})[-1]
        loss = y.square().sum(1).mean()
        with LiveBytes() as memory:
            loss.backward()
            precondition.step()
        peaks.append(memory.peak)
    grid = 8 * (80 - 10)  # a fixed-step solver keeps the times of its grid
    assert peaks[1] <= peaks[0] + 2 * grid
