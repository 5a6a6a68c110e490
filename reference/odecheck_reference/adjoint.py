"""The adjoint equation and Liouville's formula themselves, as ordinary initial value problems.

A second route to what the variational equations give: nothing here uses a sensitivity matrix.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .bounded import Array, Bounded
from .flow import NEARBY, RUNS, at_least, integrate, longest, moved, spread, trajectories
from .problem import Problem
from .sensitivity import with_cost_as_state


@lru_cache(maxsize=128)
def adjoint_states(problem: Problem) -> Bounded:
    """a(t_i) = dL/dy(t_i) at all times, where the observation at t_i itself counts: (times, batch, state).

    −a' = F_yᵀ a + ℓ_y, a(T) = Φ_y(T), with a jump of Φ_{y_i} at each observation passed on the way back. State and
    adjoint are integrated backwards together, the state starting afresh from the forward solution at each time.
    """
    extended = with_cost_as_state(problem)
    forward = trajectories(extended, 0)
    slopes = [extended.loss.gradient(run.y) for run in forward]
    values = [
        _backwards(extended, run.y, slope[:, :, None], *how)[:, :, 0, : problem.field.state]
        for run, slope, how in zip(forward, slopes, RUNS, strict=True)
    ]
    # the equation is linear in a: what the bar of y does to the slopes of the loss goes back through it by itself
    changes = np.stack([extended.loss.gradient(run.y) - slopes[0] for run in moved(extended, 0)], axis=2)
    size = float(np.max(np.abs(changes))) or 1.0
    carried = _backwards(extended, forward[0].y, changes / size, *NEARBY) * size
    swayed = np.sqrt(np.mean(carried[..., : problem.field.state] ** 2, axis=2))
    return at_least(spread(values), float(np.max(swayed)))


def _backwards(problem: Problem, y: Array, slopes: Array, method: str, tolerance: float) -> Array:
    """Several adjoints at once, driven by their own slopes: (times, batch, adjoints, state), like `slopes`."""
    shape, size = problem.y0.shape, problem.y0.size

    def rhs(t: float, w: Array) -> Array:
        state, a = w[:size].reshape(shape), w[size:].reshape(slopes.shape[1:])
        jet = problem.field.jet(t, state, problem.theta, 1)
        assert jet.first is not None
        pulled = a @ jet.first[:, :, 1 : 1 + shape[1]]
        return np.concatenate([jet.value.ravel(), -pulled.ravel()])

    result = np.empty_like(slopes)
    result[-1] = slopes[-1]
    for i in range(len(problem.ts) - 2, -1, -1):
        start = np.concatenate([y[i + 1].ravel(), result[i + 1].ravel()])
        span = (float(problem.ts[i + 1]), float(problem.ts[i]))
        after = integrate(rhs, span, start, method, tolerance, problem, longest=longest(problem))[size:]
        result[i] = after.reshape(slopes.shape[1:]) + slopes[i]
    return result


@lru_cache(maxsize=128)
def volume(problem: Problem) -> Bounded:
    """exp ∫ tr F_y dt of every row, from ts[0] to ts[-1]: (batch,). Liouville's formula for det dy(T)/dy0."""
    shape, size = problem.y0.shape, problem.y0.size

    def rhs(t: float, w: Array) -> Array:
        jet = problem.field.jet(t, w[:size].reshape(shape), problem.theta, 1)
        assert jet.first is not None
        traces = np.trace(jet.first[:, :, 1 : 1 + shape[1]], axis1=1, axis2=2)
        return np.concatenate([jet.value.ravel(), traces])

    def once(method: str, tolerance: float) -> Array:
        w = np.concatenate([problem.y0.ravel(), np.zeros(shape[0])])
        span = (float(problem.ts[0]), float(problem.ts[-1]))
        return integrate(rhs, span, w, method, tolerance, problem, longest=longest(problem))[size:]

    logarithm = spread([once(*run) for run in RUNS])
    value = np.exp(logarithm.value)
    # a sum of rounded traces may cancel to any size, but each step's share is rounded at the size of one at least
    rounded = 32 * float(np.finfo(np.float64).eps)
    return Bounded(value, {"logarithm": value * np.expm1(logarithm.radius + rounded)})
