"""What a subject gives: states, derivatives and tangents, each against the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue, gradient, hessian, solution
from odecheck_reference.fields import Linear
from torch import nn

from odecheck.engines.own import Closed
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import Unsupported
from odecheck.instruments.metering import metered
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Derivatives64, Subject, Tangent, WithCost, tensor, to_numpy

LINEAR, WITH_COST = catalogue.quick()[:2]
FINE = Adaptive("dopri8", rtol=1e-9, land=True)
SUBJECT = Subject(SHIPPED, FINE, Backprop())


def test_its_name_is_its_parts_or_its_label():
    assert SUBJECT.name == "dopri8(rtol=1e-09, landing), torchdiffeq backprop"
    assert Subject(nn.Linear, FixedStep("rk4", 0.5), Adjoint()).name == "Linear, rk4(step=0.5), torchdiffeq adjoint"
    assert Subject(SHIPPED, FINE, Backprop(), label="mine").name == "mine"
    assert SUBJECT.refined().solver == Adaptive("dopri8", rtol=1e-10, land=True)


def test_states_and_gradients_are_those_of_the_reference():
    np.testing.assert_allclose(SUBJECT.solution(LINEAR), solution(LINEAR).value, rtol=1e-7, atol=1e-8)
    assert WITH_COST.running is not None
    got, true = SUBJECT.gradient(WITH_COST), gradient(WITH_COST)
    for one, other in ((got.y0, true.y0), (got.theta, true.theta), (got.ts, true.ts)):
        np.testing.assert_allclose(one, other.value, rtol=1e-5, atol=1e-6)


def test_a_hessian_has_no_row_for_the_start_of_the_cost():
    problem = LINEAR.with_(running=WITH_COST.running)
    whole = Subject(SHIPPED, FixedStep("rk4", 0.05), Closed()).hessian(problem)
    size = problem.y0.size + problem.field.params
    assert whole.shape == (size, size)
    np.testing.assert_allclose(whole, hessian(problem).value[:size, :size], rtol=1e-3, atol=1e-3)
    with pytest.raises(Unsupported, match="no second derivatives"):
        SUBJECT.hessian(problem)


def test_a_tangent_is_the_difference_of_two_solutions():
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(LINEAR.y0.shape)
    moved = [solution(LINEAR.with_(y0=LINEAR.y0 + h * direction)).value for h in (0.5, -0.5)]
    assert isinstance(LINEAR.field, Linear)  # of a linear field a long step is exact
    np.testing.assert_allclose(SUBJECT.tangent(LINEAR, direction), moved[0] - moved[1], rtol=1e-6, atol=1e-7)


def test_the_tangent_of_a_field_that_does_not_see_its_state_is_zero():
    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.speed = nn.Parameter(torch.ones(2))

        def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.speed.expand_as(y)

    both = Tangent(Still())(torch.tensor(0.0), torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert both.tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_the_cost_is_one_more_component():
    field = SUBJECT.module(LINEAR)
    seen = []

    def running(t: torch.Tensor, y: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        seen.append(theta.shape)
        return y.sum(-1)

    start = tensor(np.c_[LINEAR.y0, np.zeros(len(LINEAR.y0))])
    got = WithCost(field, running)(tensor(LINEAR.ts[0]), start)
    np.testing.assert_allclose(to_numpy(got[:, -1]), LINEAR.y0.sum(1))
    assert torch.equal(got[:, :-1], field(tensor(LINEAR.ts[0]), tensor(LINEAR.y0)))
    assert seen == [(LINEAR.field.params,)]


def test_a_kept_answer_is_charged_again_and_not_the_callers_to_change():
    with unit_of_work(), metered() as cost:
        first = SUBJECT.solution(LINEAR)
        once = cost.nfe
        first += 1.0
        second = SUBJECT.solution(LINEAR)
    assert once > 0 and cost.nfe == 2 * once and cost.solves == 2
    assert np.abs(first - second).max() == pytest.approx(1.0)


def test_derivatives_in_times_that_an_engine_has_not_are_refused():
    zero = np.zeros(1)
    assert Derivatives64(zero[None], zero, zero).ts is zero
    with pytest.raises(Unsupported, match="only whole"):
        _ = Derivatives64(zero[None], zero, zero, "only whole steps").ts


def test_arrays_come_and_go_in_memory_of_their_own():
    array = np.array([1.0, 2.0])
    x = tensor(array)
    array += 1
    assert x.tolist() == [1.0, 2.0] and x.dtype == torch.float64
    back = to_numpy(torch.ones(2, dtype=torch.float32, requires_grad=True))
    assert back.dtype == np.float64 and back.flags.owndata
