"""When steps end: at the observation times, and where torchdiffeq's options say so."""

from __future__ import annotations

import pytest

from odecheck.discrete import record
from odecheck.discrete.schedule import clock_of
from tests.discrete.oracle import Net, draw, times


def test_a_time_that_is_no_grid_point_is_refused() -> None:
    with pytest.raises(ValueError, match="no grid point"):
        record(Net(), draw(1, 2), times(0.0, 0.25, 1.0), method="rk4", options={"step_size": 0.1})


@pytest.mark.parametrize(("values", "clock"), [((0.0, 0.4, 1.0), 1), ((1.0, 0.4, -0.5), -1)])
def test_the_clock_runs_upwards_for_times_of_both_directions(values: tuple[float, ...], clock: int) -> None:
    assert clock_of(times(*values)) == clock


@pytest.mark.parametrize("values", [(0.0,), (0.0, 0.0), (0.0, 1.0, 0.5)])
def test_times_that_are_not_strictly_monotone_have_no_clock(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="two or more strictly increasing or decreasing times"):
        clock_of(times(*values))


def test_a_grid_given_by_its_constructor_is_stepped_through() -> None:
    grid = [0.0, 0.1, 0.4, 0.75, 1.0]
    options = {"grid_constructor": lambda field, y, t: times(*grid)}
    found = record(Net(), draw(1, 2), times(0.0, 0.4, 1.0), method="rk4", options=options)
    assert found.step_starts == grid[:-1]
    assert found.observed == (0, 2, 4)
    with pytest.raises(ValueError, match="exclude each other"):
        record(Net(), draw(1, 2), times(0.0, 1.0), method="rk4", options={**options, "step_size": 0.1})
