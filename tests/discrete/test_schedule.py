"""Wrong recursions and records, and bad input: what the comparison with unrolled steps has to refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import (
    CoupledRows,
    Trajectory,
    derivatives,
    gradient,
    hvp,
    jvp,
    record,
)
from odecheck.discrete import (
    stage_points as points,
)
from odecheck.discrete.tableau import METHODS
from tests.discrete.test_derivatives import Norm, gaps, solve
from tests.discrete.test_oracle import (
    ROUND_OFF,
    Net,
    direction_of,
    double_backward,
    draw,
    everywhere,
    gap,
    times,
    unrolled,
)


def without_second_order(patch: pytest.MonkeyPatch) -> None:
    second = points.Points.second

    def dropped(self, *given_, **named):  # type: ignore[no-untyped-def]
        states, gains = second(self, *given_, **named)
        return torch.zeros_like(states), [torch.zeros_like(gain) for gain in gains]

    patch.setattr(points.Points, "second", dropped)


def with_transposed_jacobian(patch: pytest.MonkeyPatch) -> None:
    blocks = points.Points.blocks
    patch.setattr(points.Points, "blocks", lambda self, rows: blocks(self, rows).mT.contiguous())  # type: ignore[arg-type]


def without_interior_observation(patch: pytest.MonkeyPatch) -> None:
    jumps = derivatives.Linearised.jumps

    def forgetful(self, index: int, cotangents: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        kept = cotangents.clone()
        kept[:, 1:-1] = 0
        return jumps(self, index, kept)

    patch.setattr(derivatives.Linearised, "jumps", forgetful)


@pytest.mark.parametrize("mutate", [without_second_order, with_transposed_jacobian, without_interior_observation])
def test_a_wrong_recursion_is_refuted(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    trajectory = solve("dopri5", Net(), draw(3, 2), times(0.0, 0.4, 1.0))
    assert max(gaps(trajectory)) < ROUND_OFF
    mutate(monkeypatch)
    assert max(gaps(trajectory)) > 1e6 * ROUND_OFF


def late(trajectory: Trajectory) -> Trajectory:
    """Every stage looks at the field a twentieth of a step too late."""
    pairs = zip(trajectory.stage_times, trajectory.sizes, strict=True)
    return dataclasses.replace(trajectory, stage_times=[tuple(x + 0.05 * h for x in at) for at, h in pairs])


def weights_of_another_method(trajectory: Trajectory) -> Trajectory:
    """The classical Runge-Kutta weights in place of the 3/8 rule's."""
    mutant = record(trajectory.stepper.field, trajectory.solution[0], trajectory.times, method="rk4")
    other = dataclasses.replace(METHODS["rk4"], b=(1 / 6, 1 / 3, 1 / 3, 1 / 6))
    mutant.stepper.tableau = other
    return dataclasses.replace(trajectory, stepper=mutant.stepper)


@pytest.mark.parametrize("mutate", [late, weights_of_another_method])
def test_a_wrong_record_is_refuted(mutate: Callable[[Trajectory], Trajectory], monkeypatch) -> None:
    right = solve("rk4", Net(), draw(3, 2), times(0.0, 0.4, 1.0))
    monkeypatch.setattr(points, "agree", lambda a, b: True)
    direction = direction_of(right)
    _, expected = double_backward(
        lambda y: unrolled(right, y), everywhere, right.solution[0], right.parameters, direction
    )
    for trajectory, is_right in ((right, True), (mutate(right), False)):
        theta = {name: value[None] for name, value in direction.items() if name != "y0"}
        found = hvp(trajectory, everywhere, y0=direction["y0"][None], theta=theta)
        difference = gap([found.y0[0], *(value[0] for value in found.theta.values())], expected)
        assert (difference < ROUND_OFF) == is_right
        assert is_right or difference > 1e6 * ROUND_OFF


def test_a_wrong_stage_time_does_not_pass_the_recorded_slopes() -> None:
    with pytest.raises(ValueError, match="recorded slopes"):
        gradient(late(solve("rk4", Net(), draw(3, 2), times(0.0, 1.0))), everywhere)


def test_rows_declared_independent_are_checked() -> None:
    with pytest.raises(CoupledRows):
        gradient(solve("rk4", Norm(), draw(4, 2), times(0.0, 1.0), independent_rows=True), everywhere)


class Centred(nn.Module):
    """Rows are coupled only through their mean, and give equal values if they are equal."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y - y.mean(0)) + y


def test_coupling_is_seen_where_all_rows_are_equal() -> None:
    y0 = draw(1, 2).expand(4, 2).clone()
    trajectory = solve("rk4", Centred(), y0, times(0.0, 1.0))
    weights = draw(2, 4, 2)
    assert max(gaps(trajectory, lambda y: (weights * y.sin()).sum())) < ROUND_OFF


def test_noise_is_refused() -> None:
    field = nn.Sequential(nn.Dropout(0.5))
    trajectory = record(lambda t, y: field(y), draw(3, 2), times(0.0, 1.0), method="rk4")
    with pytest.raises(ValueError, match="recorded slopes"):
        gradient(trajectory, everywhere)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_parameter_changed_since_is_refused(checkpoint: bool) -> None:
    field = Net()
    trajectory = solve("euler", field, draw(3, 2), times(0.0, 1.0), checkpoint=checkpoint)
    with torch.no_grad():
        next(field.parameters()).mul_(1.01)
    with pytest.raises(ValueError, match="changed in place"):
        gradient(trajectory, everywhere)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_parameters_data_changed_behind_its_back_is_refused(checkpoint: bool) -> None:
    field = Net()
    trajectory = solve("euler", field, draw(3, 2), times(0.0, 1.0), checkpoint=checkpoint)
    next(field.parameters()).data.mul_(1.01)
    with pytest.raises(ValueError, match=r"recorded slopes|does not end where"):
        gradient(trajectory, everywhere)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "need a y0 part"),
        ({"theta": {"nobody": draw(1, 2)}}, "no parameters"),
        ({"y0": draw(1, 3, 2), "theta": {"net.0.bias": draw(2, 4)}}, "one leading axis"),
    ],
)
def test_directions_that_make_no_sense_are_refused(how: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jvp(solve("euler", Net(), draw(3, 2), times(0.0, 1.0)), **how)  # type: ignore[arg-type]


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(ValueError, match="scalar"):
        gradient(solve("euler", Net(), draw(3, 2), times(0.0, 1.0)), lambda y: y[-1])


def test_a_plain_function_with_its_parameters_by_name() -> None:
    matrix = draw(2, 2).requires_grad_()
    trajectory = record(lambda t, y: torch.sin(y @ matrix), draw(3, 2), times(0.0, 1.0), parameters={"matrix": matrix})
    assert max(gaps(trajectory)) < ROUND_OFF
