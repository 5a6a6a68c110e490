"""The derivatives of the losses and of the running cost against a complex step, and in 30 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from odecheck_reference.losses import CrossEntropy, Linear, LogCosh, QuadraticCost, SquaredError

STEP = 1e-30
SHAPE = (3, 2, 4)
RNG = np.random.default_rng(1)
WEIGHT = RNG.uniform(0, 1, size=SHAPE) * np.array([0.0, 1.0, 1.0])[:, None, None]
TARGET = RNG.normal(size=SHAPE)
LOSSES = {
    "linear": Linear(WEIGHT),
    "squared": SquaredError(WEIGHT, TARGET),
    "log-cosh": LogCosh(WEIGHT, TARGET),
    "cross-entropy": CrossEntropy(WEIGHT[..., 0], RNG.integers(0, 4, size=SHAPE[:2])),
}
COSTS = {"all terms": QuadraticCost(), "other weights": QuadraticCost(0.3, 1.2, -0.7)}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
each_cost = pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS.keys())


def mismatch(observed, expected) -> float:
    assert observed.shape == expected.shape
    scale = np.max(np.abs(expected))
    return float(np.max(np.abs(observed - expected)) / (scale if scale > 0 else 1.0))


def stepped(function, x):
    """The derivative of a function in every entry of x, by a complex step; x's axes come last."""
    columns = []
    for index in np.ndindex(x.shape):
        z = x.astype(complex)
        z[index] += 1j * STEP
        columns.append(np.asarray(function(z)).imag / STEP)
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


def objects(x):
    return np.frompyfunc(mpmath.mpf, 1, 1)(np.asarray(x, dtype=object))


def all_blocks(hessian):
    """(times, batch, state, state) → the full second derivative, zero between observations and rows."""
    times, batch, state, _ = hessian.shape
    full = np.zeros((times, batch, state, times, batch, state))
    for i in range(times):
        for b in range(batch):
            full[i, b, :, i, b] = hessian[i, b]
    return full


@each_loss
@pytest.mark.parametrize("seed", range(3))
def test_derivatives_of_a_loss(loss, seed):
    y = np.random.default_rng(seed).normal(size=SHAPE)
    loss.check(SHAPE)
    assert mismatch(loss.gradient(y), stepped(loss.value, y)) <= 1e-14
    assert mismatch(all_blocks(loss.hessian(y)), stepped(loss.gradient, y)) <= 1e-14


@each_loss
def test_wrong_derivatives_of_a_loss_are_refuted(loss):
    y = np.random.default_rng(0).normal(size=SHAPE)
    gradient, hessian = stepped(loss.value, y), stepped(loss.gradient, y)
    assert mismatch(loss.gradient(y) * (1 + 1e-12), gradient) > 1e-14
    assert mismatch(loss.gradient(y) * (np.arange(3) < 2)[:, None, None], gradient) > 1e-14
    if hessian.any():
        assert mismatch(all_blocks(loss.hessian(y) * (1 + 1e-12)), hessian) > 1e-14


@each_loss
def test_thirty_digits_of_a_loss_round_to_float64(loss):
    y = np.random.default_rng(4).normal(size=SHAPE)
    with mpmath.workdps(30):
        assert abs(loss.value(y) - loss.value(objects(y))) <= 2e-15 * abs(loss.value(y))
        assert mismatch(loss.gradient(y), loss.gradient(objects(y))) <= 1e-15
        hessian, exact = loss.hessian(y), loss.hessian(objects(y))
        assert np.max(np.abs(hessian - exact)) <= 1e-15 * np.max(np.abs(hessian), initial=0)


def test_large_states_do_not_overflow():
    y = np.full(SHAPE, 1e4) * np.array([1, -1, 0.5, 0])
    for loss in LOSSES.values():
        for derivative in (loss.value, loss.gradient, loss.hessian):
            assert np.isfinite(derivative(y)).all()


def joint(cost, order):
    """The cost as a function of z = (t, y, theta) of one row of two states."""
    return lambda z: cost.jet(z[0], z[None, 1:3], z[3:], order)[order][0]


@each_cost
def test_derivatives_of_a_running_cost(cost):
    z = np.random.default_rng(2).normal(size=6)
    _, first, second = cost.jet(z[0], z[None, 1:3], z[3:], 2)
    exact_first, exact_second = stepped(joint(cost, 0), z), stepped(joint(cost, 1), z)
    assert mismatch(first[0], exact_first) <= 1e-14
    assert mismatch(second[0], exact_second) <= 1e-14
    for p in range(6):
        wrong = first[0].copy()
        wrong[p] *= 1 + 1e-12 * np.max(np.abs(first)) / abs(first[0, p])
        assert mismatch(wrong, exact_first) > 1e-14
        wrong = second[0].copy()
        wrong[p] *= 1 + 1e-12
        assert not wrong.any() or mismatch(wrong, exact_second) > 1e-14 or not second[0, p].any()


@each_cost
def test_complex_time_alone_reaches_the_first_derivative(cost):
    first = cost.jet(0.3 + 1j * STEP, np.ones((2, 3)), np.ones(2), 1)[1]
    assert np.array_equal(first[:, 1].imag / STEP, np.full(2, cost.time_weight))


@each_cost
def test_thirty_digits_of_a_running_cost_round_to_float64(cost):
    z = np.random.default_rng(3).normal(size=6)
    machine = cost.jet(z[0], z[None, 1:3], z[3:], 2)
    with mpmath.workdps(30):
        exact = cost.jet(mpmath.mpf(z[0]), objects(z[None, 1:3]), objects(z[3:]), 2)
        for seen, true in zip(machine, exact, strict=True):
            assert mismatch(seen, true) <= 1e-15


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (Linear(np.ones((2, 2, 4))), "weight has shape"),
        (SquaredError(WEIGHT, np.ones(3)), "target has shape"),
        (LogCosh(WEIGHT, np.ones(3)), "target has shape"),
        (CrossEntropy(WEIGHT, np.zeros(SHAPE[:2], dtype=int)), "weight has shape"),
        (CrossEntropy(WEIGHT[..., 0], np.full(SHAPE[:2], 4)), "labels go from 4 to 4, the states are 4"),
    ],
)
def test_losses_that_do_not_fit_are_refused(loss, says):
    with pytest.raises(ValueError, match=says):
        loss.check(SHAPE)
