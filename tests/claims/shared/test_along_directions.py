"""Second derivatives of fields beyond 60 rows, and beyond a column for each parameter: decided, and wrong ones seen."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, gauss_newton, gradient, hessian
from odecheck_reference.fields import Mlp
from odecheck_reference.flat import is_large
from odecheck_reference.losses import QuadraticCost, SquaredError
from odecheck_reference.products import gauss_newton_product, hessian_product, horizon

from odecheck import module_pairs
from odecheck.claims.papers import snopt
from odecheck.claims.papers.kronecker import factors_are_time_integrals
from odecheck.claims.papers.layers import layer_factors
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.judge import Verdict
from odecheck.mutants import curvature, derivatives, second_order
from odecheck.record import evaluate
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED, Subject

RIGHT = Subject(SHIPPED, FixedStep("rk4", step=0.125), Closed())
BEYOND = (snopt.second_order_adjoint, snopt.gauss_newton_form, snopt.horizon)
BY_ROWS = (snopt.low_rank_factors, layer_factors, factors_are_time_integrals)


@lru_cache
def problem(width: int, batch: int = 2, *, running: bool = False) -> Problem:
    net, rng, ts = Mlp(2, 2, (width,), time=True), np.random.default_rng(0), np.array([0.0, 0.5, 1.0])
    shape = (3, batch, 2)
    loss = SquaredError(np.ones(shape), rng.standard_normal(shape))
    theta = rng.standard_normal(net.params) / np.sqrt(width)
    cost = QuadraticCost() if running else None
    return Problem(f"network of width {width}", net, rng.standard_normal(shape[1:]), theta, ts, loss, cost)


@pytest.mark.parametrize("running", [False, True])
def test_products_of_the_reference_are_those_of_its_matrices(running):
    p, rng = problem(3, running=running), np.random.default_rng(1)
    v, u = rng.standard_normal(p.y0.shape), rng.standard_normal(p.field.params)
    n, whole, z = p.y0.size + p.field.params, hessian(p), np.r_[v.ravel(), u]
    pairs = [(hessian_product(p, v, u), whole)] + (
        [] if running else [(gauss_newton_product(p, v, u), gauss_newton(p))]
    )
    for found, matrix in pairs:
        exact = matrix.value[:n, :n] @ z
        assert (np.abs(found.value - exact) <= found.radius + matrix.radius[:n, :n] @ np.abs(z)).all()
        assert found.radius.max() < 1e-7 * np.abs(exact).max()
    found, last = horizon(p), len(whole.value) - 1
    exact = np.r_[gradient(p).ts.value[-1], whole.value[last, last], whole.value[last, p.y0.size : n]]
    assert (np.abs(found.value - exact) <= found.radius + whole.radius.max()).all()


@pytest.mark.parametrize("engine", [Closed(), Discrete()], ids=lambda e: e.name)
@pytest.mark.parametrize("claim", BEYOND, ids=lambda c: c.id)
def test_beyond_sixty_rows_right_engines_hold(claim, engine):
    subject = Subject(SHIPPED, RIGHT.solver, engine)
    record = evaluate(claim, subject, problem(16))
    wanted = Verdict.UNSUPPORTED if claim is snopt.horizon and engine == Discrete() else Verdict.HOLDS
    assert record.verdict is wanted, record
    assert evaluate(claim, Subject(SHIPPED, RIGHT.solver, Adjoint()), problem(16)).verdict is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("claim", "mutant"),
    [
        (snopt.second_order_adjoint, second_order.OTHER_FORM),
        (snopt.second_order_adjoint, second_order.HALF_MIXED),
        (snopt.second_order_adjoint, second_order.SCALED_HESSIAN),
        (snopt.second_order_adjoint, derivatives.SCALED_FIELD),
        (snopt.gauss_newton_form, second_order.FORGOTTEN_JUMP),
        (snopt.gauss_newton_form, second_order.OTHER_FORM),
        (snopt.horizon, second_order.ROUGH_HORIZON),
        (snopt.horizon, second_order.HALF_QTTHETA),
    ],
)
def test_beyond_sixty_rows_wrong_ones_are_refuted(claim, mutant):
    assert evaluate(claim, mutant(RIGHT), problem(16)).verdict is Verdict.REFUTED


def test_what_is_false_read_literally_is_refuted_there_too():
    assert evaluate(snopt.gauss_newton_is_the_hessian, RIGHT, problem(16)).verdict is Verdict.REFUTED
    assert evaluate(snopt.horizon_from_first_order, RIGHT, problem(16)).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("claim", "mutant"),
    [
        (snopt.low_rank_factors, second_order.FLIPPED_P),
        (layer_factors, derivatives.SCALED_FIELD),
        (factors_are_time_integrals, curvature.NO_BIAS),
    ],
    ids=lambda one: getattr(one, "id", getattr(one, "name", "")),
)
def test_factors_of_a_large_field_hold_and_wrong_ones_do_not(claim, mutant):
    large = problem(128, 4)
    assert is_large(large)
    record = evaluate(claim, RIGHT, large)
    assert record.verdict is Verdict.HOLDS, record
    assert evaluate(claim, mutant(RIGHT), large).verdict is Verdict.REFUTED


class Autonomous(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, y):
        return self.inner(y)


@pytest.mark.parametrize("claim", BEYOND, ids=lambda c: c.id)
def test_of_a_plain_module_too(claim):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 12), torch.nn.Tanh(), torch.nn.Linear(12, 3))
    (subject, own), *_ = module_pairs(Autonomous(module), [[1.0, 0.5, -0.25], [0.0, 1.0, 2.0]])
    record = evaluate(claim, replace(subject, solver=FixedStep("rk4", step=0.125), engine=Closed()), own)
    assert record.verdict is Verdict.HOLDS, record


class Pair(torch.nn.Module):
    """A state of two parts, of which the second is moved by the first."""

    def __init__(self):
        super().__init__()
        self.wide, self.back = torch.nn.Linear(3, 12), torch.nn.Linear(12, 2)

    def forward(self, t, parts):
        _, b = parts
        value = self.back(torch.tanh(self.wide(torch.cat(parts, 1))))
        return value, -b * value[:, :1]


@pytest.mark.parametrize(
    ("module", "y0"),
    [
        (lambda: Autonomous(torch.nn.Conv2d(2, 2, 3, padding=1)), torch.linspace(-1, 1, 36).reshape(2, 2, 3, 3)),
        (Pair, (torch.tensor([[1.0, 0.5], [0.0, 2.0]]), torch.tensor([[1.0], [-1.0]]))),
        (lambda: Autonomous(torch.nn.Linear(8, 8)), torch.linspace(-1, 1, 8)),
    ],
    ids=["several axes", "two parts", "no batch"],
)
def test_of_a_state_of_any_shape(module, y0):
    torch.manual_seed(0)
    (subject, own), *_ = module_pairs(module(), y0)
    right = replace(subject, solver=FixedStep("rk4", step=0.125), engine=Closed())
    assert evaluate(snopt.second_order_adjoint, right, own).verdict is Verdict.HOLDS
