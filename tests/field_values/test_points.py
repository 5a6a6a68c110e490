"""Where a field is asked: between known states, in every stratum of time, on and around the trajectory."""

import numpy as np
import pytest

from odecheck.field_values.points import AROUND, EVALUATIONS, Path, rough_path, rows, strata

PATH = Path(np.array([0.0, 1.0, 2.0]), np.array([[[1.0, 0.0]], [[3.0, 0.0]], [[-7.0, 0.0]]]))


@pytest.mark.parametrize("path", [PATH, Path(-PATH.times, PATH.states)], ids=["forwards", "backwards"])
def test_a_state_lies_between_its_neighbours(path):
    sign = np.sign(path.times[-1])
    assert path.at(0.5 * sign)[0, 0] == 2.0 and path.at(1.5 * sign)[0, 0] == -2.0
    assert path.length == 2.0


def test_the_size_of_a_component_that_rests_is_that_of_the_smallest_that_moves():
    assert PATH.size.tolist() == [7.0, 7.0]
    assert Path(PATH.times, 0 * PATH.states).size.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("ts", [[0.0, 4.0], [4.0, 1.0, 0.0]])
def test_there_is_a_time_in_every_part(ts):
    times = strata(np.array(ts), 8, np.random.default_rng(0))
    assert np.floor(np.sort(times) / 0.5).tolist() == list(range(8))


def test_rows_begin_on_the_trajectory_and_lie_around_it():
    got = rows(PATH, 0.0, np.random.default_rng(0))
    assert got.shape == (len(AROUND), 2) and got[0].tolist() == [1.0, 0.0]
    assert rows(PATH, 0.0, np.random.default_rng(0), thin=True).shape == (len(AROUND) // 2, 2)
    wide = Path(np.array([0.0, 1.0]), np.ones((2, 3, 5000)))
    assert rows(wide, 0.5, np.random.default_rng(0)).shape == (3, 5000)


def test_a_rough_path_is_solved_where_that_is_cheap_and_is_the_knots_otherwise():
    ts, knots = np.array([0.0, 1.0]), np.array([[[1.0]], [[np.exp(-1.0)]]])
    path = rough_path(lambda t, y: -y, ts, knots)
    assert len(path.times) > 2
    assert path.at(0.5)[0, 0] == pytest.approx(np.exp(-0.5), rel=0.05)
    calls = []

    def stiff(t, y):
        calls.append(t)
        return -1e6 * (y - np.cos(1e3 * t))

    assert rough_path(stiff, ts, knots).states is knots and len(calls) <= EVALUATIONS + 1
    assert rough_path(lambda t, y: y * np.nan, ts, knots).states is knots
