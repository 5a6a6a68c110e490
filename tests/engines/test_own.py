"""odecheck's own engines, against the reference: the flow's derivatives of both orders, and those of the steps."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import Bounded, hessian

from odecheck import SHIPPED, Adaptive, FixedStep, Subject, Unsupported
from odecheck.engines.own import CLOSED, DISCRETE, LIBRARY, Closed, Discrete
from odecheck.engines.torchdiffeq import BACKPROP
from odecheck.fields.losses import torch_loss
from odecheck.problem_sets.conformance import linear, network, switched
from odecheck.subject import tensor
from tests.engines.truth import check, close

FINE = Adaptive("dopri5", rtol=1e-9)
BOTH = (DISCRETE, BACKPROP)


def posed(problem):
    """module, y0, ts and loss of a problem."""
    module = Subject(SHIPPED, FINE, CLOSED).module(problem)
    return module, tensor(problem.y0), tensor(problem.ts), torch_loss(problem.loss)


@pytest.mark.parametrize("engine", [CLOSED, DISCRETE], ids=lambda engine: engine.name)
def test_solution_and_gradient(engine):
    check(Subject(SHIPPED, FINE, engine), network(), states=1e-7, slopes=1e-6, times=1e-6)


@pytest.mark.parametrize("engine", [CLOSED, DISCRETE], ids=lambda engine: engine.name)
def test_hessian(engine):
    problem = linear()
    module, y0, ts, loss = posed(problem)
    size = problem.y0.size + problem.theta.size
    found = engine.hessian(module, FINE, y0, ts, loss)
    true = hessian(problem)
    assert found.shape == (size, size)
    close(found.detach().numpy(), Bounded(true.value[:size, :size]), 1e-5)


def test_derivatives_of_coarse_steps_are_those_of_backpropagation():
    module, y0, ts, _ = posed(network())
    coarse, ends = FixedStep("rk4", step=float(ts[-1] - ts[0]) / 4), ts[[0, -1]]
    mine, peer = (engine.gradient(module, coarse, y0, ends, lambda y: (y[-1] ** 2).sum()) for engine in BOTH)
    assert torch.allclose(mine.theta, peer.theta, rtol=1e-12, atol=1e-14)
    assert torch.allclose(mine.y0, peer.y0, rtol=1e-12, atol=1e-14)


def test_what_is_no_recorded_step_is_unsupported():
    module, y0, ts, loss = posed(linear())
    with pytest.raises(Unsupported, match="no explicit Runge-Kutta method"):
        DISCRETE.solution(module, FixedStep("implicit_adams", step=0.1), y0, ts)
    with pytest.raises(Unsupported, match="between the ends of"):
        DISCRETE.solution(module, FixedStep("rk4", step=0.3), y0, torch.tensor([0.0, 0.5, 0.9], dtype=y0.dtype))
    with pytest.raises(Unsupported, match="formed from factors"):
        DISCRETE.hessian(module, FINE, y0, ts, loss, curved=False)


def test_a_solver_is_told_of_jumps_where_it_has_the_option():
    problem = switched()
    jumps = torch.tensor([problem.field.at], dtype=torch.float64)
    told = CLOSED.told(FINE, jumps)
    assert told.options["jump_t"] is jumps and "jump_t" not in FINE.options
    with pytest.raises(Unsupported, match="no jump_t"):
        CLOSED.told(FixedStep("rk4", step=0.1), jumps)


def test_the_functions_give_what_the_library_declares():
    assert [one.engine for one in LIBRARY.engines] == [Closed(), Discrete()] == [CLOSED, DISCRETE]
    assert (CLOSED.target, DISCRETE.target) == ("flow", "steps")
