"""Kronecker factors of the reference: against a fine quadrature, of long and sharp solutions, with two sources of z."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference.fields import Mlp
from odecheck_reference.losses import SquaredError
from odecheck_reference.path import path

import odecheck
from odecheck.claims.shared import true_factors as rooms
from odecheck.claims.shared.observed_curvature import ended_problem
from odecheck.claims.shared.true_factors import Along, calls, slope, true_factors
from odecheck.engines.own import Closed
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED, Subject

NETWORK = next(p for p in odecheck.problems() if p.name == "tanh network")
SUBJECT = Subject(SHIPPED, FixedStep("rk4"), Closed())


def stretched(length: float, sharper: float):
    """The tanh network with all parameters times `sharper`, over a window of this length."""
    ts = NETWORK.ts[0] + (NETWORK.ts - NETWORK.ts[0]) / (NETWORK.ts[-1] - NETWORK.ts[0]) * length
    return ended_problem(NETWORK.with_(ts=ts, theta=sharper * NETWORK.theta))


@pytest.mark.parametrize(("length", "sharper"), [(1.0, 1.0), (50.0, 1.0), (1.0, 30.0), (-3.0, 2.0)])
def test_factors_are_those_of_a_fine_trapezoid_rule(length, sharper):
    """A = ∫ z zᵀ dt of the first layer, whose z is (y, t, 1): by Romberg's rule on 2^14 + 1 times."""
    ended = stretched(length, sharper)
    found = true_factors(SUBJECT, ended)
    columns = ended.field.widths[0] + 1
    along = path(lambda t, y: slope(ended, t, y), ended.y0.ravel(), ended.ts[[0, -1]], rtol=3e-14)
    times = np.linspace(ended.ts[0], ended.ts[-1], 2**14 + 1)
    zs = np.stack([np.append(along(t).reshape(ended.y0.shape), [[t, 1.0]] * ended.batch, 1) for t in times])
    values = np.einsum("tba,tbc->tac", zs, zs) / ended.batch
    step = abs(times[1] - times[0])
    rules = [np.trapezoid(values[::k], dx=k * step, axis=0) for k in (1, 2, 4)]
    first, second = (rules[0] * 4 - rules[1]) / 3, (rules[1] * 4 - rules[2]) / 3
    exact = first + (first - second) / 15
    a = found.value[: columns**2].reshape(columns, columns)
    size = float(np.abs(a).max())
    assert np.abs(a - exact).max() <= found.radius[: columns**2].max() + 1e-10 * size
    assert found.radius.max() <= 1e-8 * float(np.abs(found.value).max())


def test_two_sources_of_z_and_g_agree():
    ended = stretched(1.0, 1.0)
    module = SUBJECT.module(ended)
    assert isinstance(ended.field, Mlp)
    q = np.random.default_rng(0).normal(size=ended.y0.shape)
    of_formulas = calls(ended, module, 0.3, ended.y0.ravel(), [q.ravel()])
    layers = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    of_module = rooms._of_module(module, layers, 0.3, torch.tensor(ended.y0), [torch.tensor(q)])
    assert len(of_formulas) == len(of_module) == len(layers)
    for (z, (g,)), (other_z, (other_g,)) in zip(of_formulas, of_module, strict=True):
        np.testing.assert_allclose(z, other_z, rtol=1e-14)
        np.testing.assert_allclose(g, other_g, rtol=1e-13, atol=1e-15)


def test_layers_that_are_not_the_networks_own_are_called():
    """A module of the same function with a layer more: its calls are not those of the formulas."""
    ended = stretched(1.0, 1.0)

    class More(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.more = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
            torch.nn.init.eye_(self.more.weight)

        def forward(self, t, y):
            return self.more(self.inner(t, y))

    along = Along.of(ended, More(SUBJECT.module(ended)))
    assert len(along.calls(0.5)) == len(ended.field.hidden) + 2


@pytest.mark.parametrize("wrong", ["_by_dop853", "_by_adams"])
def test_the_bar_tells_where_the_families_differ(monkeypatch, wrong):
    ended = stretched(1.0, 1.0)
    right, by = true_factors(SUBJECT, ended), getattr(rooms, wrong)
    monkeypatch.setattr(rooms, wrong, lambda along: [1.001 * x for x in by(along)])
    found = true_factors(SUBJECT, ended.with_(name="anew"))
    assert (np.abs(found.value - right.value) <= found.radius).all()
    assert found.radius.max() > 1e-4 * float(np.abs(found.value).max())


def test_nothing_is_known_along_another_solution_than_the_scanned_one(monkeypatch):
    ended = stretched(1.0, 1.0)
    right, true_slope = true_factors(SUBJECT, ended), rooms.slope
    monkeypatch.setattr(rooms, "slope", lambda *at: 1.01 * true_slope(*at))
    found = true_factors(SUBJECT, ended.with_(name="another"))
    assert np.isinf(found.budget["another solution"]).all()
    assert isinstance(ended.loss, SquaredError) and right.budget["another solution"].max() == 0
