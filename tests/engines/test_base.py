"""What every engine has in common: gradients of a differentiable solve, and what an engine without a thing says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from odecheck import Adaptive, FixedStep, Unsupported
from odecheck.engines.base import (
    OdeIntEngine,
    events_of,
    factors_of,
    graph_of,
    jumps_of,
    on_host,
    second_order_of,
)
from odecheck.engines.own import CLOSED
from odecheck.engines.scipy import SOLVE_IVP
from odecheck.engines.torchdiffeq import BACKPROP
from tests.engines.elsewhere import ELSEWHERE, decay_on


def exact(module, y0, ts, **_how):
    """y' = -rate y, in closed form."""
    return y0 * torch.exp(-module.rate * (ts - ts[0]))[:, None, None]


EXACT = OdeIntEngine("exact", "flow", exact, unsupported_methods=("rk4",))


def test_a_gradient_has_all_three_parts_in_their_shapes():
    module, y0, _ = decay_on("cpu")
    ts = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    found = EXACT.gradient(module, Adaptive(), y0, ts, lambda y: y[-1].sum())
    end = math.exp(-2.0)
    assert torch.allclose(found.y0, torch.full((1, 2), end, dtype=torch.float64))
    assert found.theta.tolist() == pytest.approx([-2 * 2 * end])
    assert found.ts.tolist() == pytest.approx([2 * end, 0.0, -2 * end])
    assert found.no_times == ""


def test_a_module_without_parameters_has_an_empty_gradient_in_them():
    module, y0, ts = decay_on("cpu")
    module.rate.requires_grad_(False)
    assert EXACT.gradient(module, Adaptive(), y0, ts, lambda y: y.sum()).theta.shape == (0,)


def test_a_solution_is_outside_the_graph_and_an_attached_one_is_in_it():
    module, y0, ts = decay_on("cpu")
    assert not EXACT.solution(module, Adaptive(), y0, ts).requires_grad
    assert EXACT.attached(module, Adaptive(), y0, ts).requires_grad


@pytest.mark.parametrize("ask", ["attached", "gradient"])
def test_a_method_without_a_gradient_is_unsupported_and_still_solves(ask):
    module, y0, ts = decay_on("cpu")
    solver = FixedStep("rk4", step=0.1)
    assert EXACT.solution(module, solver, y0, ts).shape == (2, 1, 2)
    loss = (torch.sum,) if ask == "gradient" else ()
    with pytest.raises(Unsupported, match=r"no gradient through rk4"):
        getattr(EXACT, ask)(module, solver, y0, ts, *loss)
    getattr(replace(EXACT, unsupported_methods=()), ask)(module, solver, y0, ts, *loss)


@pytest.mark.parametrize(
    ("of", "has", "said"),
    [
        (graph_of, BACKPROP, "no solution in torch's graph"),
        (events_of, BACKPROP, "not asked for events"),
        (jumps_of, BACKPROP, "cannot be told where the field jumps"),
        (second_order_of, CLOSED, "no second derivatives"),
        (factors_of, CLOSED, "no Gauss-Newton factors"),
    ],
)
def test_an_engine_is_given_back_or_unsupported_by_name(of, has, said):
    assert of(has) is has
    with pytest.raises(Unsupported, match=f"scipy solve_ivp .*{said}|scipy solve_ivp {said}"):
        of(SOLVE_IVP)


def test_what_numpy_cannot_look_at_is_unsupported():
    on_host("numpy", nn.Linear(2, 2).parameters())
    with pytest.raises(Unsupported, match="numpy gets numpy's arrays here, and a tensor is on meta"):
        on_host("numpy", nn.Linear(2, 2, device=ELSEWHERE).parameters())
