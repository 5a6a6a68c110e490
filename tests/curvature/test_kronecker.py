"""Factors gathered along an adjoint solve are the integrals that they are said to be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import nn

import odecheck
from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.curvature.quadrature import RULES
from tests.curvature.solves import FIXED, D, Dense, Wandering, backward_of, distance, each_solve, made


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


def test_layers_outside_of_solves():
    """The factors of one call: A = E z zᵀ, B = E g gᵀ."""
    field, y0 = made(Dense, 3, 2)
    model = nn.ModuleDict({"before": nn.Linear(2, 2), "field": field, "after": nn.Linear(2, 3)}).to(D)
    t = torch.tensor([0.0, 1.0], dtype=D)
    label = torch.tensor([0, 2, 1])

    def backward() -> None:
        y = torchdiffeq.odeint_adjoint(field, model["before"](y0), t)[-1]
        nn.functional.cross_entropy(model["after"](y), label).backward()

    found = kronecker_factors(model, backward, layers="all")
    assert set(found) == {"before", "after", "field.first", "field.again", "field.last"}
    y = torchdiffeq.odeint_adjoint(field, model["before"](y0), t)[-1].detach()
    z = torch.cat([y, torch.ones(3, 1, dtype=D)], 1)
    g = model["after"](y).softmax(1) - nn.functional.one_hot(label, 3)
    torch.testing.assert_close(found["after"].A, z.T @ z / 3, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found["after"].B, g.T @ g / 3, rtol=1e-12, atol=1e-14)
    assert set(kronecker_factors(model, backward)) == {"field.first", "field.again", "field.last"}
