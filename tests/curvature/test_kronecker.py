"""Factors gathered along an adjoint solve are the integrals that they are said to be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

import odecheck
from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.curvature.quadrature import RULES
from odecheck.errors import CurvatureError

ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun", "fehlberg2")
FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4")
SOLVES = {"torchdiffeq": torchdiffeq.odeint_adjoint, "odecheck": odecheck.odeint}
each_solve = pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)
D = torch.float64


class Dense(nn.Module):
    """A field of time and state with a layer that is called twice and one that has no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h = torch.tanh(self.first(torch.cat([y, t.expand(*y.shape[:-1], 1)], -1)))
        h = torch.tanh(self.again(torch.tanh(self.again(h))))
        return self.last(h)


class Pixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 2), padding="same", dilation=(1, 2), padding_mode="circular")
        self.back = nn.Conv2d(4, 2, 3, padding=1, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        time = t.expand(len(y), 1, *y.shape[2:])
        return self.back(torch.tanh(self.conv(torch.cat([y, time], 1))))


def made(kind: type[nn.Module], *shape: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return kind().to(D), torch.randn(*shape, dtype=D)


def mean_loss(y: Tensor) -> Tensor:
    """A mean over samples (the second axis) of what every time contributes."""
    return (y * torch.linspace(0.5, 1.5, len(y), dtype=y.dtype).reshape(-1, *[1] * (y.dim() - 1))).square().sum() / (
        y.shape[1]
    )


def backward_of(solve, field, y0, times=(0.0, 0.7, 1.5), **how):
    t = torch.tensor(times, dtype=y0.dtype)

    def backward() -> None:
        field.zero_grad()
        mean_loss(solve(field, y0, t, **how)).backward()

    return backward


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


class Wandering(nn.Module):
    """Two solves of one field, of different length, the second from where the first ended."""

    def __init__(self, field: nn.Module, solve, splits) -> None:
        super().__init__()
        self.field, self.solve, self.splits = field, solve, splits

    def forward(self, y: Tensor) -> Tensor:
        for a, b in pairwise(self.splits):
            t = torch.tensor([a, b], dtype=y.dtype)
            y = self.solve(self.field, y, t, method="dopri5", rtol=1e-5, atol=1e-7)[-1]
        return y


@each_solve
@pytest.mark.parametrize(
    "splits", [(0.0, 1.5), (0.0, 0.4, 1.5), (0.0, 0.05, 0.1, 0.15, 1.5), (0.0, 1.0, -0.5)], ids=str
)
def test_several_solves_of_one_field_add_up(solve, splits):
    """Also where a step back overshoots the starts of several solves."""
    field, y0 = made(Dense, 3, 2)
    model = Wandering(field, solve, splits)

    def backward() -> None:
        field.zero_grad()
        model(y0).square().sum(1).mean().backward()

    blocks = exact_blocks(model, backward)
    for name, layer in field.named_children():
        torch.testing.assert_close(
            blocks["field." + name].integrals[0].mean(0)[:, : layer.weight.shape[1]],
            layer.weight.grad,
            rtol=1e-10,
            atol=1e-12,
        )
    factors = kronecker_factors(model, backward)
    length = sum(abs(b - a) for a, b in pairwise(splits))
    assert factors["field.first"].A[-1, -1].item() == pytest.approx(length, rel=1e-12)


@each_solve
def test_interval_additivity(solve):
    """∫ over [0, 1.5] is that over [0, 0.6] and [0.6, 1.5], to the tolerance of the solves."""
    field, y0 = made(Dense, 3, 2)
    whole, parts = (Wandering(field, solve, s) for s in ((0.0, 1.5), (0.0, 0.6, 1.5)))
    found = [kronecker_factors(m, lambda m=m: m(y0).square().sum(1).mean().backward()) for m in (whole, parts)]
    for name in found[0]:
        torch.testing.assert_close(found[0][name].A, found[1][name].A, rtol=2e-4, atol=2e-4)
        torch.testing.assert_close(found[0][name].B, found[1][name].B, rtol=2e-4, atol=2e-4)


def distance(a, b) -> float:
    return max(float((x - y).norm() / y.norm()) for n in a for x, y in ((a[n].A, b[n].A), (a[n].B, b[n].B)))


@pytest.fixture(scope="module")
def converged():
    field, y0 = made(Dense, 3, 2)
    return kronecker_factors(field, backward_of(odecheck.odeint, field, y0, method="dopri8", rtol=1e-12, atol=1e-13))


@each_solve
@pytest.mark.parametrize("method", FIXED)
def test_factors_converge_at_the_solvers_order(solve, method, converged):
    field, y0 = made(Dense, 3, 2)
    steps = (0.1, 0.05) if method in ("rk4", "heun3") else (0.05, 0.025)
    errors = [
        distance(
            kronecker_factors(field, backward_of(solve, field, y0, method=method, options={"step_size": h})), converged
        )
        for h in steps
    ]
    order = next(r.tableau.order for r in RULES if r.name == method)
    assert np.log2(errors[0] / errors[1]) > order - 0.35


TOLERANCES = {"dopri5": (1e-8, 1e-9, 1e-10), "bosh3": (1e-4, 1e-5, 1e-6)}


@pytest.mark.parametrize("method", TOLERANCES)
def test_factors_follow_the_tolerance(method, converged):
    field, y0 = made(Dense, 3, 2)
    how = [{"method": method, "rtol": r, "atol": r / 100} for r in TOLERANCES[method]]
    errors = [distance(kronecker_factors(field, backward_of(odecheck.odeint, field, y0, **h)), converged) for h in how]
    assert errors[1] < errors[0] / 4 and errors[2] < errors[1] / 4 and errors[2] < TOLERANCES[method][2]


@each_solve
def test_a_repeated_row_changes_nothing(solve):
    """A mean over a batch that holds every sample twice is the same mean: no batch size is left over."""
    field, y0 = made(Dense, 3, 2)
    found = [
        kronecker_factors(field, backward_of(solve, field, y, method="rk4", options={"step_size": 0.1}))
        for y in (y0, torch.cat([y0, y0]))
    ]
    assert distance(*found) < 1e-12


def test_a_sum_over_samples_and_a_mean_have_the_same_factors():
    field, y0 = made(Dense, 3, 2)
    t = torch.tensor([0.0, 1.0], dtype=D)

    def backward(by: float) -> None:
        (odecheck.odeint(field, y0, t, method="rk4", options={"step_size": 0.1})[-1].square().sum() / by).backward()

    mean = kronecker_factors(field, lambda: backward(3.0))
    total = kronecker_factors(field, lambda: backward(1.0), reduction="sum")
    assert distance(total, mean) < 1e-12
    assert distance(kronecker_factors(field, lambda: backward(1.0)), mean) > 1


def test_gradients_accumulated_over_parts_of_a_batch():
    field, y0 = made(Dense, 4, 2)
    t, how = torch.tensor([0.0, 1.0], dtype=D), {"method": "rk4", "options": {"step_size": 0.1}}

    def by_halves() -> None:
        for half in y0.chunk(2):
            (torchdiffeq.odeint_adjoint(field, half, t, **how)[-1].square().sum() / 4).backward()

    whole = kronecker_factors(
        field, lambda: (torchdiffeq.odeint_adjoint(field, y0, t, **how)[-1].square().sum() / 4).backward()
    )
    assert distance(kronecker_factors(field, by_halves), whole) < 1e-12


def test_one_backward_pass_for_each_factor_of_the_hessian():
    """A is a mean over the passes, B a sum; a squared error of two numbers has two."""
    field, y0 = made(Dense, 3, 2)
    t, how = torch.tensor([0.0, 1.0], dtype=D), {"method": "rk4", "options": {"step_size": 0.1}}

    def rows(which) -> None:
        y = torchdiffeq.odeint_adjoint(field, y0, t, **how)[-1]
        for i in which:
            (y[:, i].sum() / 3).backward(retain_graph=True)

    both = kronecker_factors(field, lambda: rows((0, 1)), rank=2)
    each = [kronecker_factors(field, lambda i=i: rows((i,))) for i in (0, 1)]
    for name, found in both.items():
        torch.testing.assert_close(found.A, each[0][name].A, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found.B, each[0][name].B + each[1][name].B, rtol=1e-12, atol=1e-14)


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
