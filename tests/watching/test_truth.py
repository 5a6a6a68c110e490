"""The truth of a solve against closed forms, in each family, and within its bars."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torchdiffeq import odeint

from odecheck.watching import path as paths
from odecheck.watching import truth
from odecheck.watching.field64 import OutOfBudget, in_double
from odecheck.watching.settle import settle
from odecheck.watching.step import watch

A = np.array([[-0.3, 1.1, 0.2], [-0.9, -0.1, 0.4], [0.3, -0.5, -0.6]])


def linear(times, dtype=torch.float64):
    """The call of y' = A y with L = Σ y(ts)², and dL/dA, dL/dy0 in closed form by complex steps of expm."""
    weight = torch.tensor(A, dtype=dtype, requires_grad=True)
    y0 = torch.tensor([[1.0, -0.5, 0.3]], dtype=dtype, requires_grad=True)
    t = torch.tensor(times, dtype=dtype, requires_grad=True)
    with watch() as step:
        y = odeint(lambda t, y: y @ weight.T, y0, t, rtol=1e-6, atol=1e-8)
        y.square().sum().backward()
    return step.calls[0], 2 * y.detach().double().numpy()[:, 0]


def exact(times, cotangent):
    """y(ts), dL/dy0, dL/dt, dL/dA of ⟨cotangent, y(ts)⟩."""
    y0 = np.array([1.0, -0.5, 0.3])
    flows = [expm(A * (t - times[0])) for t in times]
    y = np.stack([m @ y0 for m in flows])
    dt = np.array([w @ A @ v for w, v in zip(cotangent, y, strict=True)])
    dt[0] = -sum(w @ A @ v for w, v in zip(cotangent[1:], y[1:], strict=True))
    dA = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            moved = A.astype(complex)
            moved[i, j] += 1e-30j
            dA[i, j] = sum((w @ expm(moved * (t - times[0])) @ y0).imag / 1e-30
                           for w, t in zip(cotangent, times, strict=True))  # fmt: skip
    return y, sum(w @ m for w, m in zip(cotangent, flows, strict=True)), dt, dA


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.2), (1.0, 0.3, -0.5), (0.2, 2.0)])
def test_families_agree_with_the_closed_form(times):
    call, cotangent = linear(times)
    y, dy0, dt, dA = exact(times, cotangent)
    with in_double(call) as f:
        found = truth.dop853(f, rtol=1e-12)
        answers = [(found, 1e-10), (truth.adams(f, found.along, rtol=1e-12), 1e-9), (truth.rk4(f, steps=400), 1e-8)]
    for answer, tolerance in answers:
        np.testing.assert_allclose(answer.solution, y, rtol=0, atol=tolerance)
        np.testing.assert_allclose(answer.y0, dy0, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(answer.t, dt, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(next(iter(answer.theta.values())), dA, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("aim", [1e-4, 1e-8])
def test_the_truth_lies_within_its_bars(aim):
    times = (0.0, 0.7, 1.5)
    call, cotangent = linear(times)
    y, dy0, dt, dA = exact(times, cotangent)
    with in_double(call) as f:
        found = settle(f, lambda now: dict.fromkeys(now.bars, aim), rtol=1e-3, seconds=20)
    name = next(iter(found.answer.theta))
    for key, value in {"solution": y, "dL/dy0": dy0, "dL/dt": dt, name: dA}.items():
        assert np.abs(found.parts()[key] - value).max() <= found.bars[key] <= aim


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


def test_a_deadline_is_kept():
    call, _ = linear((0.0, 1.0))
    with in_double(call) as f, pytest.raises(OutOfBudget):
        settle(f, lambda now: dict.fromkeys(now.bars, 0.0), rtol=1e-3, seconds=0.0)


@pytest.mark.parametrize("what", ["solution", "dL/dy0", "dL/dtheta", "dL/dt"])
def test_a_result_that_is_wrong_breaks_its_promise(what):
    """Each of the four is moved by a few percent where the tolerance is 1e-6: refuted, and that one alone."""
    call, _ = linear((0.0, 0.5, 1.2))
    with watch() as step:
        pass
    step.calls.append(call)
    assert call.solution is not None and call.held is not None
    from odecheck.watching import judged

    honest = judged._observed

    def moved(work, f):
        out = honest(work, f)
        names = list(f.leaves) if what == "dL/dtheta" else [what]
        return {k: v * (1.03 if k in names else 1.0) for k, v in out.items()}

    judged._observed = moved
    try:
        quantities = step.rows[0].quantities
    finally:
        judged._observed = honest
    assert {name for name, q in quantities.items() if q.verdict == "refuted"} == {what}
    assert step.rows[0].verdict == "refuted"
