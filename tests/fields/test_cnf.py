"""Continuous normalizing flows: densities, divergences, noise, gradients; and wrong ones that have to be refuted."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
import torchdiffeq
from odecheck_reference import volume
from odecheck_reference.catalogue import quick
from torch import Tensor, nn

from odecheck.fields import FieldError
from odecheck.fields.cnf import CNF, ConcatSquash, ConcatSquashLinear, standard_normal
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.node import Affine
from odecheck.ode import odeint
from odecheck.solvers import Adaptive

TIGHT = Adaptive("dopri5", rtol=1e-8, atol=1e-10)
ENGINES = {
    "odecheck": odeint,
    "adjoint": torchdiffeq.odeint_adjoint,
    "backprop": torchdiffeq.odeint,
}


@pytest.fixture(autouse=True)
def seeded(in_float64: None) -> None:
    torch.manual_seed(0)


def field(width: int = 8, scale: float = 2.0) -> ConcatSquash:
    """A field whose flow moves the normal density by far: its parameters are enlarged."""
    made = ConcatSquash((2, width, width, 2))
    with torch.no_grad():
        for p in made.parameters():
            p *= scale
    return made


def rows(count: int = 4) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(1))


def check_total_probability(make: Callable) -> None:
    """∫ p dx = 1, by the trapezoidal rule on a square whose border has no density left: exact but for the solver.

    The solver's error of log p is of the size of 1e-6, and so is that of the mean of p's relative error.
    """
    axis = torch.linspace(-9, 9, 121)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        p = make(field(), solver=Adaptive("dopri5", rtol=1e-6)).log_prob(grid).exp().reshape(121, 121)
    border = torch.cat([p[0], p[-1], p[:, 0], p[:, -1]])
    assert float(border.max()) < 1e-9
    assert float(p.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-5)


def test_density_integrates_to_one() -> None:
    check_total_probability(CNF)


def check_change_is_the_determinant(make: Callable) -> None:
    """log p(x) − log p(z) = log |det ∂z/∂x| for each row, by differentiation of the solve."""
    cnf = make(field(), solver=TIGHT, odeint=torchdiffeq.odeint)
    x = rows().requires_grad_()
    jacobian = torch.stack([torch.autograd.grad(z.sum(), x, retain_graph=True)[0] for z in cnf(x)[0].T], dim=1)
    torch.testing.assert_close(cnf(x)[1].detach(), torch.linalg.det(jacobian).log(), rtol=1e-6, atol=1e-7)


def test_change_is_the_determinant_of_the_flow() -> None:
    check_change_is_the_determinant(CNF)


@pytest.mark.parametrize("name", ["linear with time", "tanh network"])
def test_change_is_the_volume_of_the_reference(name: str) -> None:
    """NODE-5 from the other side: det ∂y(T)/∂y(t0) of the reference, in numpy, against the integral along the flow."""
    problem = next(p for p in quick() if p.name == name)
    truth = volume(problem)
    module = torch_twin(problem.field)(torch.tensor(problem.theta))
    cnf = CNF(module, span=(problem.ts[0], problem.ts[-1]), solver=TIGHT)
    _, change = cnf.inverse(torch.tensor(problem.y0))
    # an error of 1e-7 of the integral is one of 1e-7, relatively, of its exponential
    gap = np.abs(change.exp().detach().numpy() - truth.value)
    assert np.all(gap < truth.radius + 1e-6 * truth.value)
    assert np.all(np.abs(truth.value - 1) > 1e-3)


def check_flow_is_undone(make: Callable) -> None:
    cnf, x = make(field(), solver=TIGHT), rows()
    z, change = cnf(x)
    back, undone = cnf.inverse(z)
    assert float((z - x).detach().abs().max()) > 0.1
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(undone, -change, rtol=1e-6, atol=1e-6)


def test_flow_is_undone_by_its_inverse() -> None:
    check_flow_is_undone(CNF)


class FixedNoise(CNF):
    """With the given noise in every solve."""

    noise: Tensor

    def _noise(self, x: Tensor) -> Tensor:
        return self.noise.expand_as(x)


def test_hutchinson_is_exact_on_average_over_all_signs() -> None:
    """All four sign patterns of a row are as likely; their mean is the trace, up to the solver."""
    inner, x = field(), rows()
    exact = CNF(inner, solver=TIGHT).log_prob(x)
    estimates = []
    for signs in product((-1.0, 1.0), repeat=2):
        cnf = FixedNoise(inner, divergence="rademacher", solver=TIGHT)
        cnf.noise = torch.tensor(signs)
        estimates.append(cnf.log_prob(x))
    torch.testing.assert_close(torch.stack(estimates).mean(0), exact, rtol=1e-6, atol=1e-6)
    assert float((estimates[0] - estimates[1]).detach().abs().max()) > 1e-3


def check_noise_is_unbiased(make: Callable, kind: str) -> None:
    """One look. Of x' = Mx the estimate is −εᵀMε, of mean −tr M and variance Σ_{i<j} S_ij² for signs, S = M + Mᵀ, and
    Σ_ij S_ij²/2 for normal noise; five standard errors are passed by chance once in 1.7 million runs.

    Beyond its mean, the variance of the sample: its own standard error is σ²√((κ − 1)/N), the kurtosis κ of a quadratic
    form in two normals at most 15.
    """
    linear = Affine(2)
    M = linear.weight.detach()
    S, count = M + M.T, 20_000
    variance = float(S[0, 1] ** 2) if kind == "rademacher" else float(S.square().sum() / 2)
    cnf = make(linear, divergence=kind, solver=TIGHT)
    with torch.no_grad():
        _, change = cnf(rows(1).expand(count, 2))
    assert abs(float(change.mean() + M.trace())) < 5 * math.sqrt(variance / count) + 1e-7
    assert float(change.var()) == pytest.approx(variance, abs=5 * variance * math.sqrt(14 / count))


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_hutchinson_is_unbiased(kind: str) -> None:
    check_noise_is_unbiased(CNF, kind)


def gradient(cnf: CNF, loss: Callable[[], Tensor], seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    found = torch.autograd.grad(loss(), list(cnf.parameters()), allow_unused=True)
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(found, cnf.parameters(), strict=True)]
    )


def check_gradient(make: Callable, divergence: str, odeint: Callable = torchdiffeq.odeint_adjoint) -> None:
    """Against central differences in all parameters along a direction, with the same noise on both sides."""
    cnf, x = make(field(), divergence=divergence, solver=TIGHT, odeint=odeint), rows()
    loss = lambda: -cnf.log_prob(x).mean()  # noqa: E731
    found = gradient(cnf, loss)
    direction = torch.randn(len(found), generator=torch.Generator().manual_seed(2))
    start, h = nn.utils.parameters_to_vector(cnf.parameters()).detach(), 1e-4

    def at(step: float) -> float:
        nn.utils.vector_to_parameters(start + step * direction, cnf.parameters())
        torch.manual_seed(3)
        with torch.no_grad():
            return float(loss())

    slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    # differences of numbers with a solver's error of 1e-9 over 1e-4
    assert float(found @ direction) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("divergence", ["exact", "rademacher"])
def test_gradient_is_that_of_central_differences(engine: str, divergence: str) -> None:
    check_gradient(CNF, divergence, ENGINES[engine])


def check_two_solves_before_one_backward(make: Callable) -> None:
    """Each backward solve replays its own noise: the gradient of a sum is the sum of gradients."""
    cnf, x = make(field(), divergence="rademacher", solver=TIGHT), rows()
    both = gradient(cnf, lambda: cnf.log_prob(x).sum() + 2 * cnf.log_prob(x + 0.5).sum())
    torch.manual_seed(3)
    first = torch.autograd.grad(cnf.log_prob(x).sum(), list(cnf.parameters()))
    second = torch.autograd.grad(2 * cnf.log_prob(x + 0.5).sum(), list(cnf.parameters()))
    alone = torch.cat([(a + b).flatten() for a, b in zip(first, second, strict=True)])
    torch.testing.assert_close(both, alone, rtol=1e-9, atol=1e-12)


def test_two_solves_before_one_backward_keep_their_noise() -> None:
    check_two_solves_before_one_backward(CNF)


def test_derivatives_of_log_density_of_every_order() -> None:
    """∂²log p/∂x², through odecheck's solve and torch.func, against differences of its gradient."""
    cnf = CNF(field(4), solver=Adaptive("dopri8", rtol=1e-6), odeint=odeint)
    log_p = lambda x: cnf.log_prob(x[None])[0]  # noqa: E731
    x, h = rows(1)[0], 1e-4
    hessian = torch.func.hessian(log_p)(x)
    score = torch.func.grad(log_p)
    column = [(score(x + h * e) - score(x - h * e)) / (2 * h) for e in torch.eye(2)]
    torch.testing.assert_close(hessian, torch.stack(column), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(hessian, hessian.T, rtol=1e-6, atol=1e-7)


def test_evaluation_without_gradients_and_training_agree() -> None:
    cnf, x = CNF(field(), solver=TIGHT), rows()
    with torch.no_grad():
        quiet = cnf.log_prob(x)
    assert not quiet.requires_grad and torch.equal(quiet, cnf.log_prob(x).detach())


def test_layer_is_its_formula() -> None:
    layer, h, t = ConcatSquashLinear(3, 2), torch.randn(5, 3), torch.tensor(0.7)
    gate = torch.sigmoid(layer.gate.weight[:, 0] * t + layer.gate.bias)
    expected = (h @ layer.linear.weight.T + layer.linear.bias) * gate + layer.shift.weight[:, 0] * t
    torch.testing.assert_close(layer(t, h), expected)
    assert sum(p.numel() for p in ConcatSquash((2, 64, 64, 64, 2)).parameters()) == 9224


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(FieldError, match="'exact', 'rademacher' or 'gaussian'"):
        CNF(field(), divergence="hutchinson")  # pyright: ignore[reportArgumentType]
    with pytest.raises(FieldError, match=r"shape \(2,\)"):
        CNF(field()).log_prob(torch.zeros(2))


def test_standard_normal_is_that_of_torch() -> None:
    z = rows()
    torch.testing.assert_close(standard_normal(z), torch.distributions.Normal(0, 1).log_prob(z).sum(-1))
