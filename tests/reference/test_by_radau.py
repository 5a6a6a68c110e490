"""Radau steps against closed forms: stiff, backwards in time, with several times; their derivative against theirs."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import by_radau


class Relaxation:
    """y' = −k (y − cos t), two rows; dL/dk beside dL/dy0. Backwards in time with k < 0 it is as stiff."""

    breaks = ()

    def __init__(self, k, times):
        self.k, self.times, self.start = k, np.array(times), np.array([1.5, -0.5])

    def f(self, t, y):
        return -self.k * (y - np.cos(t))

    def pull(self, t, y, a):
        return -self.k * a

    def gather(self, t, y, a):
        return {"k": np.array(-(a @ (y - np.cos(t))))}

    def zeros(self):
        return {"k": np.zeros(())}

    def exact(self, k):
        """y(t) = p(t) + (y0 − p(t0)) exp(−k (t − t0)), p = (k² cos t + k sin t) / (k² + 1)."""
        t = self.times[:, None]
        p = (k**2 * np.cos(t) + k * np.sin(t)) / (k**2 + 1)
        return p + (self.start - p[0]) * np.exp(-k * (t - t[0]))


@pytest.mark.parametrize(("k", "times"), [(1e4, (0.0, 0.4, 1.0)), (20.0, (0.0, 1.0)), (-300.0, (1.0, 0.2, 0.0))])
def test_solution_and_derivatives(k, times):
    field = Relaxation(k, times)
    w = np.arange(1.0, 2 * len(times) + 1).reshape(-1, 2)
    mesh = by_radau.mesh(field, rtol=1e-4)
    answer = by_radau.radau(field, lambda _: w, mesh=mesh, parts=16)
    np.testing.assert_allclose(answer.solution, field.exact(k), rtol=0, atol=1e-8)
    moved = field.exact(complex(k, 1e-30)).imag / 1e-30
    np.testing.assert_allclose(answer.theta["k"], (w * moved).sum(), rtol=1e-5)
    decays = np.exp(-k * (field.times - field.times[0]))
    np.testing.assert_allclose(answer.y0, decays @ w, rtol=0, atol=1e-7)
    slopes = np.stack([field.f(t, y) for t, y in zip(field.times, field.exact(k), strict=True)])
    np.testing.assert_allclose(answer.t[1:], (w * slopes)[1:].sum(1), rtol=0, atol=1e-7 * abs(k))
    along = by_radau.path_of(field, mesh=mesh, parts=4)
    np.testing.assert_allclose(along(times[-1]), field.exact(k)[-1], rtol=0, atol=1e-5)
    assert by_radau.growth(field, mesh=mesh) == 1.0


def test_steps_do_not_grow_with_stiffness():
    counts = [len(by_radau.mesh(Relaxation(k, (0.0, 1.0)), rtol=1e-4)) for k in (1e3, 1e6)]
    assert counts[1] < 2 * counts[0] < 100


def test_its_order():
    """Halved steps of a field that is not stiff: the error falls by 2⁵."""
    field = Relaxation(1.0, (0.0, 2.0))
    errors = [
        np.abs(by_radau.radau(field, None, mesh=np.linspace(0, 2, 5), parts=n).solution - field.exact(1.0)).max()
        for n in (1, 2)
    ]
    assert 24 < errors[0] / errors[1] < 40
