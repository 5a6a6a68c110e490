"""Any quantity w with w' = rate(t, y, w) along the exact solution y, forwards from the start or backwards from the end.

An equation that somebody states about a flow is solved as it stands, with the error bar of several runs and a scan, as
everything else here. Nothing of it uses the variational equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import process_time

import numpy as np

from .bounded import Array, Bounded
from .flow import RUNS, followed, spread, trajectories
from .follow import Followed
from .looked import looked_at
from .problem import Problem
from .stepping import Restart

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
    found = _carry(problem, rate, given, [run.y for run in trajectories(problem, 0)], backwards)
    size, terms = problem.y0.size, found.seen.grain + found.seen.defect + found.seen.jumps
    values = [w[:, size:].reshape(len(w), *given.shape) for w in found.values]
    return tuple(_with_terms(quantity, values, terms[size:].reshape(given.shape), found) for quantity in quantities)


def _with_terms(quantity: Callable[[Array], Array], values: list[Array], terms: Array, found: Followed) -> Bounded:
    """The bar of the runs, and what w, moved up and down by the terms of the scan, does to the quantity."""
    seen = spread([quantity(w) for w in values])
    moved = [np.abs(quantity(values[0] + sign * terms) - seen.value) for sign in (-1.0, 1.0)]
    bar = {**seen.budget, "seen by the scan": float(np.max(np.maximum(*moved), initial=0.0))}
    return looked_at(Bounded(seen.value, bar), found.seen)


def _carry(problem: Problem, rate: Rate, given: Array, ys: list[Array], backwards: bool) -> Followed:
    """w beside y by every run, (times, size of y and w), in the order of the problem's times."""
    shape, size, last = problem.y0.shape, problem.y0.size, len(problem.ts) - 1
    field, theta = problem.field, problem.theta

    def rhs(t: float, both: Array) -> Array:
        state = both[:size].reshape(shape)
        value = field.jet(t, state, theta, 0).value
        return np.concatenate([value.ravel(), rate(t, state, both[size:].reshape(given.shape)).ravel()])

    def many(t: Array, both: Array) -> Array:
        return np.stack([rhs(float(time), one) for time, one in zip(t, both, strict=True)])

    def restart(y: Array) -> Restart:
        return lambda j, w: np.concatenate([y[last - j if backwards else j].ravel(), w[size:]])

    begin = -1 if backwards else 0
    starts = [np.concatenate([y[begin].ravel(), given.ravel()]) for y in ys]
    found = followed(
        problem,
        rhs,
        many,
        starts,
        RUNS,
        restarts=[restart(y) for y in ys],
        backwards=backwards,
        seconds=_seconds(rhs, float(problem.ts[begin]), starts[0]),
    )
    return replace(found, values=tuple(w[::-1] for w in found.values)) if backwards else found


def _seconds(rhs: Callable[[float, Array], Array], t: float, w: Array) -> float:
    found: list[float] = []
    for _ in range(2):
        start = process_time()
        rhs(t, w)
        found.append(process_time() - start)
    return min(found)


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
