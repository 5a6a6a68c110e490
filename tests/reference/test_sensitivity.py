"""Derivatives of the reference against difference quotients in high precision: no formula is shared.

The loss L(y0, theta, ts) is one function of numbers; in 90 digits its first and second difference quotients with a step
of 1e-25 have more than 20 right digits. What is compared is the float64 reference, and its 30-digit twin as well.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from odecheck_reference import (
    Problem,
    adjoint_states,
    exact,
    gauss_newton,
    gradient,
    hessian,
    loss,
    transition,
    volume,
)
from odecheck_reference.collocation import exactly
from odecheck_reference.fields import Linear, Logistic, Mlp, Pendulum
from odecheck_reference.losses import CrossEntropy, LogCosh, QuadraticCost, SquaredError
from odecheck_reference.losses import Linear as LinearLoss

from odecheck.selftest.bars import measured

DIGITS, STEP = 90, mpmath.mpf(10) ** -25
TS = np.array([0.25, 0.5, 1.0])


def problem(loss_of_shape, *, batch: int = 2, backwards: bool = False) -> Problem:
    ts = TS[::-1] if backwards else TS
    y0 = np.array([[0.25], [1.5]])[:batch]
    return Problem("logistic", Logistic(), y0, np.array([1.5, 2.0]), ts, loss_of_shape((len(ts), batch, 1)))


def weights(shape):
    return 0.25 + np.arange(np.prod(shape)).reshape(shape) % 3 / 2


LOSSES = {
    "linear": lambda shape: LinearLoss(weights(shape)),
    "squared": lambda shape: SquaredError(weights(shape), 1 - weights(shape)),
    "log-cosh": lambda shape: LogCosh(weights(shape), 1 - weights(shape)),
}


def value(p: Problem, x) -> mpmath.mpf:
    """L at x = (y0 of all rows, theta, ts), from the closed form of the logistic field."""
    y0, (r, cap), ts = x[: p.batch], x[p.batch : p.batch + 2], x[p.batch + 2 :]
    y = np.array([[[cap / (1 + (cap / u - 1) * mpmath.exp(-r * (t - ts[0])))] for u in y0] for t in ts], dtype=object)
    return p.loss.value(y)


def quotients(function, x):
    """Central first and second difference quotients of a scalar function of mpmath numbers."""
    size = len(x)

    def at(*moves):
        moved = x.copy()
        for component, sign in moves:
            moved[component] += sign * STEP
        return function(moved)

    first = np.array([(at((i, 1)) - at((i, -1))) / (2 * STEP) for i in range(size)], dtype=object)
    second = np.empty((size, size), dtype=object)
    for i, j in np.ndindex(size, size):
        corners = [at((i, a), (j, b)) * a * b for a in (1, -1) for b in (1, -1)]
        second[i, j] = sum(corners) / (4 * STEP**2)
    return first, second


def differences(p: Problem):
    with mpmath.workdps(DIGITS):
        return quotients(lambda x: value(p, x), exactly(np.concatenate([p.y0.ravel(), p.theta, p.ts])))


def joined(p: Problem):
    """The float64 gradient as one vector in (y0, theta, ts), with its bar."""
    g = gradient(p)
    parts = (g.y0, g.theta, g.ts)
    return (np.concatenate([q.value.ravel() for q in parts]), np.concatenate([q.radius.ravel() for q in parts]))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_gradient_and_hessian_are_those_of_difference_quotients(name, backwards):
    """In the starts, the parameters, the start time, an interior time and the last time."""
    p = problem(LOSSES[name], backwards=backwards)
    first, second = differences(p)
    seen, bar = joined(p)
    assert (np.abs(seen - first) <= bar).all()
    assert measured(hessian(p), second)[0] <= 1
    twin = exact.solve(p, order=2)
    assert np.max(np.abs(twin.gradient() - first)) <= 1e-20 * np.max(np.abs(first))
    assert np.max(np.abs(twin.hessian() - second)) <= 1e-20 * np.max(np.abs(second))


def test_wrong_derivatives_are_refuted_by_difference_quotients():
    p = problem(LOSSES["log-cosh"])
    first, second = differences(p)
    seen, bar = joined(p)
    matrix = hessian(p)
    n = len(seen)
    for k in range(n):  # any component off by 1e-8 of itself, or dropped
        for factor in (1 + 1e-8, 0.0):
            wrong = seen.copy()
            wrong[k] *= factor
            assert (np.abs(wrong - first) > bar).any()
    for i, j in np.ndindex(n, n):
        wrong = matrix.value.copy()
        wrong[i, j] += 1e-8 * np.max(np.abs(wrong))
        assert (np.abs(wrong - second) > matrix.radius).any()
    curved_away = gauss_newton(p)  # the Hessian without the flow's own curvature is another matrix
    assert (np.abs(curved_away.value - second) > curved_away.radius).any()


def curved(running=None, **changes) -> Problem:
    """A network of time on two rows: nothing is symmetric, nothing is autonomous."""
    field = Mlp(2, 2, (2,), "tanh", time=True)
    rng = np.random.default_rng(5)
    shape = (3, 2, 2)
    silent_start = weights(shape) * np.array([0.0, 1.0, 1.0])[:, None, None]
    p = Problem(
        "network",
        field,
        rng.normal(size=(2, 2)),
        rng.normal(size=field.params),
        TS,
        LogCosh(silent_start, 1 - weights(shape)),
        running,
    )
    return p.with_(**changes)


def test_an_integral_term_is_differentiated():
    """∫ ½ |y|² + c t y of a linear field in one state, in closed form by a linear field of the same solution."""
    rate, start, times = mpmath.mpf(-0.5), mpmath.mpf(1.25), TS[[0, 2]]
    cost = QuadraticCost(1.0, 0.25, 0.5)
    p = Problem(
        "decay", Linear(1), np.array([[1.25]]), np.array([-0.5, 0.0]), times, LinearLoss(np.zeros((2, 1, 1))), cost
    )

    def total(x):
        u, a, t0, t1 = x

        def y(t):
            return u * mpmath.exp(a * (t - t0))

        squares = (y(t1) ** 2 - u**2) / (4 * a)
        moments = (t1 * y(t1) - t0 * u) / a - (y(t1) - u) / a**2
        return squares + (t1 - t0) * a * a / 8 + moments / 2

    with mpmath.workdps(DIGITS):
        x = np.array([start, rate, *exactly(times)], dtype=object)
        first, second = quotients(total, x)
        assert measured(loss(p), total(x))[0] <= 1
    g, h = gradient(p), hessian(p)
    kept = np.array([0, 1, 3, 4])  # b, which is zero, has no part in the closed form
    seen = np.concatenate([g.y0.value.ravel(), g.theta.value, g.ts.value])[kept]
    assert np.max(np.abs(seen - first)) <= 1e-12 * np.max(np.abs(first))
    assert np.max(np.abs(h.value[np.ix_(kept, kept)] - second)) <= 1e-11 * np.max(np.abs(second))


@pytest.mark.parametrize(
    "p", [curved(), curved(QuadraticCost()), curved(ts=-TS)], ids=["plain", "running", "backwards"]
)
def test_the_adjoint_route_gives_the_variational_gradient(p):
    """a(t0) = dL/dy0, from two derivations that share no formula, each within its bar."""
    a, g = adjoint_states(p), gradient(p).y0
    assert (np.abs(a.value[0] - g.value) <= a.radius[0] + g.radius).all()


def test_the_volume_is_the_determinant_of_the_transition_matrix():
    p = curved()
    matrix, seen = transition(p), volume(p)
    assert np.max(np.abs(np.linalg.det(matrix.value[-1]) - seen.value)) <= 1e-12
    assert np.array_equal(matrix.value[0], np.stack([np.eye(2)] * 2))


@pytest.mark.parametrize("p", [curved(), curved(QuadraticCost())], ids=["plain", "running"])
def test_hessians_are_symmetric_and_gauss_newton_is_positive(p):
    h, gn = hessian(p), gauss_newton(p)
    for matrix in (h, gn):
        assert (np.abs(matrix.value - matrix.value.T) <= 2 * matrix.radius).all()
    assert np.linalg.eigvalsh(gn.value).min() >= -1e-10 * np.max(np.abs(gn.value))


@pytest.mark.parametrize("name", ["entropy", "pendulum"])
def test_the_hessian_is_the_derivative_of_the_gradient(name):
    """By central differences of the reference's own gradient, for fields without a closed form."""
    if name == "entropy":
        p = curved(loss=CrossEntropy(np.ones((3, 2)), np.array([[0, 1]] * 3)))
    else:
        p = Problem(
            "pendulum",
            Pendulum(),
            np.array([[1.0, -0.5]]),
            np.array([2.0, 0.25, 0.5, 1.5]),
            TS,
            SquaredError(np.ones((3, 1, 2)), np.zeros((3, 1, 2))),
        )
    x = np.concatenate([p.y0.ravel(), p.theta, p.ts])
    size, n = p.y0.size, len(p.theta)
    h = 1e-4

    def slope(z):
        return joined(p.with_(y0=z[:size].reshape(p.y0.shape), theta=z[size : size + n], ts=z[size + n :]))[0]

    # fourth-order differences: truncation h⁴ f⁽⁵⁾ / 30, round-off 1e-13 / h
    rows = [
        (8 * (slope(x + h * e) - slope(x - h * e)) - slope(x + 2 * h * e) + slope(x - 2 * h * e)) / (12 * h)
        for e in np.eye(len(x))[[0, size, -2, -1]]
    ]
    found = hessian(p).value
    assert np.max(np.abs(np.array(rows) - found[[0, size, len(x) - 2, len(x) - 1]])) <= 1e-8 * np.max(np.abs(found))
