"""Any quantity w with w' = rate(t, y, w) along the exact solution y, forwards from the start or backwards from the end.

An equation that somebody states about a flow is solved as it stands, with the error bar of four runs as everything
else here. Nothing of it uses the variational equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from .bounded import Array, Bounded
from .flow import RUNS, integrate, spread, trajectories
from .problem import Problem

Rate = Callable[[float, Array, Array], Array]


def carried(
    problem: Problem,
    rate: Rate,
    given: Array,
    *,
    backwards: bool = False,
    quantity: Callable[[Array], Array] = np.asarray,
) -> Bounded:
    """quantity(w at all times), w: (times, *given.shape).

    rate(t, y, w): w' for y (batch, state) and w shaped like `given`. given: w at ts[0], or at ts[-1] if `backwards`.
    The state starts afresh from the forward solution at each time. Raises FlowError when a solver gives up.
    """
    return carried_parts(problem, rate, given, [quantity], backwards=backwards)[0]


def carried_parts(
    problem: Problem,
    rate: Rate,
    given: Array,
    quantities: Sequence[Callable[[Array], Array]],
    *,
    backwards: bool = False,
) -> tuple[Bounded, ...]:
    """Several quantities of the same w, each with its own bar; see `carried`."""
    runs = zip(trajectories(problem, 0), RUNS, strict=True)
    values = [_carry(problem, rate, given, run.y, backwards, *how) for run, how in runs]
    return tuple(spread([quantity(w) for w in values]) for quantity in quantities)


def _carry(
    problem: Problem, rate: Rate, given: Array, y: Array, backwards: bool, method: str, tolerance: float
) -> Array:
    shape, size = problem.y0.shape, problem.y0.size

    def rhs(t: float, both: Array) -> Array:
        state = both[:size].reshape(shape)
        value = problem.field.jet(t, state, problem.theta, 0).value
        return np.concatenate([value.ravel(), rate(t, state, both[size:].reshape(given.shape)).ravel()])

    order = range(len(problem.ts))[::-1] if backwards else range(len(problem.ts))
    w = np.empty((len(problem.ts), *given.shape))
    w[order[0]] = given
    for here, there in pairwise(order):
        start = np.concatenate([y[here].ravel(), w[here].ravel()])
        span = float(problem.ts[here]), float(problem.ts[there])
        w[there] = integrate(rhs, span, start, method, tolerance, problem)[size:].reshape(given.shape)
    return w


def integrals_to_the_end(rate: Callable[[float], float], ts: Array) -> Bounded:
    """∫ rate(t) dt from each time to the last one: (times,). Gauss rules with 12 and 24 points in each interval."""

    def rule(points: int) -> Array:
        nodes, weights = np.polynomial.legendre.leggauss(points)
        pieces = [
            half * sum(w * rate(float(middle + half * x)) for x, w in zip(nodes, weights, strict=True))
            for half, middle in zip(np.diff(ts) / 2, (ts[1:] + ts[:-1]) / 2, strict=True)
        ]
        return np.append(np.cumsum(pieces[::-1])[::-1], 0.0)

    fine = rule(24)
    roundoff = 100 * np.finfo(np.float64).eps * np.max(np.abs(fine))
    return Bounded(fine, {"quadrature": 2 * float(np.max(np.abs(fine - rule(12)))), "roundoff": roundoff})
