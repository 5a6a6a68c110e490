"""One graph of all recorded steps: it is that of torchdiffeq, and its derivatives are those of the oracle."""

from __future__ import annotations

import pytest
import torch
from torchdiffeq import odeint

from odecheck.discrete import record
from odecheck.discrete.unrolled import Unrolled
from tests.discrete.oracle import ROUND_OFF, Net, direction_of, double_backward, draw, everywhere, gap, times, unrolled


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "heun3", "rk4"])
def test_unrolled_steps_are_torchdiffeqs_in_value_gradient_and_second_derivative(method: str) -> None:
    field, y0, t = Net(), draw(3, 2), times(0.0, 0.3, 0.5, 0.6)
    trajectory = record(field, y0, t, method=method)
    direction = direction_of(trajectory)
    ours = double_backward(lambda y: unrolled(trajectory, y), everywhere, y0, trajectory.parameters, direction)
    theirs = double_backward(
        lambda y: odeint(field, y, t, method=method),
        everywhere,
        y0,
        trajectory.parameters,
        direction,  # type: ignore[arg-type]
    )
    assert gap(ours[0], theirs[0]) < ROUND_OFF
    assert gap(ours[1], theirs[1]) < ROUND_OFF


def test_its_derivatives_are_those_of_plain_differentiation() -> None:
    trajectory = record(Net(), draw(3, 2), times(0.0, 0.4, 1.0), rtol=1e-3, atol=1e-3)
    direction = direction_of(trajectory)
    first, second = double_backward(
        lambda y: unrolled(trajectory, y), everywhere, trajectory.solution[0], trajectory.parameters, direction
    )
    graph = Unrolled(trajectory)
    slopes, products = graph.products(everywhere(graph.solution), [x[None] for x in direction.values()])
    assert gap(slopes, first) < ROUND_OFF
    assert gap([x[0] for x in products], second) < ROUND_OFF
    outputs = trajectory.solution.clone().requires_grad_()
    (cotangents,) = torch.autograd.grad(everywhere(outputs), outputs)
    assert gap(graph.gradient(cotangents), first) < ROUND_OFF


def test_a_field_that_has_changed_since_is_refused() -> None:
    field = Net()
    trajectory = record(field, draw(3, 2), times(0.0, 1.0), method="rk4")
    field.net[0].weight.data.mul_(1.01)
    with pytest.raises(ValueError, match="no longer gives the recorded slopes"):
        Unrolled(trajectory)
