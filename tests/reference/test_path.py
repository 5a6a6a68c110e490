"""A path that does not fit into memory is the same as one that does."""

from __future__ import annotations

import itertools

import numpy as np
from odecheck_reference import path as paths

MATRIX = np.array([[0.1, 0.7, 0.0], [-0.7, -0.2, 0.3], [0.0, 0.2, -0.1]])
TIMES = np.array([0.0, 3.0, 9.0])


def solved():
    return paths.path(lambda _, y: MATRIX @ y, np.array([1.0, -0.4, 0.3]), TIMES, rtol=1e-10)


def test_a_path_that_does_not_fit_is_stepped_again(monkeypatch):
    whole = solved()
    monkeypatch.setattr(paths, "LARGEST", 8 * paths.INTERPOLANT * 3 * 2)  # two steps of three states
    short = solved()
    assert short.steps > 4
    for t in np.linspace(9.0, 0.0, 37):
        np.testing.assert_allclose(short(t), whole(t), rtol=0, atol=1e-8)
        assert sum(chunk.steps is not None for chunk in short.chunks) == 1


def test_no_panel_of_a_path_is_left_out(monkeypatch):
    whole = list(solved().panels)
    monkeypatch.setattr(paths, "LARGEST", 8 * paths.INTERPOLANT * 3 * 2)
    short = list(solved().panels)
    for panels in (whole, short):
        assert panels[0][0] == 0.0 and panels[-1][1] == 9.0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(panels))
