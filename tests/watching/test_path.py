"""A path that does not fit into memory is the same as one that does."""

from __future__ import annotations

import numpy as np

from odecheck.watching import path as paths
from odecheck.watching.field64 import in_double

from .linear_call import linear


def test_a_path_that_does_not_fit_is_stepped_again(monkeypatch):
    call, _ = linear((0.0, 3.0, 9.0))
    with in_double(call) as f:
        whole = paths.path(f.f, f.start, f.times, rtol=1e-10)
        monkeypatch.setattr(paths, "LARGEST", 8 * paths.INTERPOLANT * 3 * 2)  # two steps of three states
        short = paths.path(f.f, f.start, f.times, rtol=1e-10)
    assert short.steps > 4
    for t in np.linspace(9.0, 0.0, 37):
        np.testing.assert_allclose(short(t), whole(t), rtol=0, atol=1e-8)
        assert sum(chunk.steps is not None for chunk in short.chunks) == 1
