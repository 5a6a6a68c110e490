"""A record holds the steps that were taken; a wrong one, or one of a field that has changed since, is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from odecheck.discrete import (
    Trajectory,
    gradient,
    hvp,
    record,
)
from odecheck.discrete import (
    stage_points as points,
)
from odecheck.discrete.tableau import METHODS
from tests.discrete.oracle import (
    ROUND_OFF,
    Net,
    direction_of,
    double_backward,
    draw,
    everywhere,
    gap,
    solve,
    times,
    unrolled,
)


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


def test_checkpoints_are_at_most_three_roots_of_the_steps() -> None:
    for step in (0.2, 0.05, 0.01, 0.004):
        found = record(Net(), draw(1, 2), times(0.0, 2.0), method="euler", options={"step_size": step}, checkpoint=True)
        root = len(found.sizes) ** 0.5
        assert len(found.kept) <= 3 * root + 2
        assert found.stride is not None
        assert found.stride <= 3 * root
        assert not found.slopes


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "dopri6"}, ValueError, "unknown method"),
        ({"options": {"step_size": 0.1}}, ValueError, "no options"),
        ({"t": times(0.0, 1.0, 0.5)}, ValueError, "strictly"),
        ({"y0": (draw(2),)}, TypeError, "one floating-point tensor"),
        ({"options": {"max_num_steps": 2}}, RuntimeError, "max_num_steps"),
        ({"method": "adaptive_heun", "options": {"jump_t": times(0.5)}}, ValueError, "jump_t"),
        ({"field": lambda t, y: y[:1]}, ValueError, "shape"),
        ({"field": lambda t, y: y / 0 * 0}, FloatingPointError, "underflows"),
    ],
)
def test_what_cannot_be_done_is_refused(change: dict[str, object], error: type[Exception], message: str) -> None:
    given_ = {"field": Net(), "y0": draw(2, 2), "t": times(0.0, 1.0), "method": "dopri5", **change}
    with pytest.raises(error, match=message):
        record(given_.pop("field"), given_.pop("y0"), given_.pop("t"), **given_)  # type: ignore[arg-type]


def test_a_trajectory_cannot_be_changed() -> None:
    found = record(Net(), draw(1, 2), times(0.0, 1.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.sizes = []  # type: ignore[misc]
