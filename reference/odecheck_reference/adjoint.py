"""The adjoint equation and Liouville's formula themselves, as ordinary initial value problems.

A second route to what the variational equations give: nothing here uses a sensitivity matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time

import numpy as np

from .bars import at_least, largest_mean
from .bounded import Array, Bounded
from .fields.jets import Jets
from .fields.pulled import pull
from .first_order import first_order
from .flat import is_large
from .flow import NEARBY, RUNS, followed, moved, solution, spread, trajectories
from .follow import Followed
from .looked import kept, with_seen
from .problem import Problem
from .sensitivity import gradient, with_cost_as_state
from .stepping import Restart


@kept(128)
def adjoint_states(problem: Problem) -> Bounded:
    """a(t_i) = dL/dy(t_i) at all times, where the observation at t_i itself counts: (times, batch, state).

    −a' = F_yᵀ a + ℓ_y, a(T) = Φ_y(T), with a jump of Φ_{y_i} at each observation passed on the way back. State and
    adjoint are integrated backwards together, the state starting afresh from the forward solution at each time. Of a
    large problem see `first_order`.
    """
    extended, d = with_cost_as_state(problem), problem.field.state
    if is_large(extended):
        found = first_order(extended).adjoints
        terms = {name: term[..., :d] for name, term in found.budget.items()}
        return Bounded(found.value[..., :d], terms, looked_at=found.looked_at)
    forward = trajectories(extended, 0)
    if forward[0].stiff:
        return _from_each_time(extended, d)
    slopes = [extended.loss.gradient(run.y) for run in forward]
    found = _backwards(extended, [run.y for run in forward], [slope[:, :, None] for slope in slopes], RUNS)
    values = [_adjoints(extended, w, slopes[0][:, :, None].shape)[:, :, 0, :d] for w in found.values]
    # the equation is linear in a: what the bar of y does to the slopes of the loss goes back through it by itself
    changes = np.stack([extended.loss.gradient(run.y) - slopes[0] for run in moved(extended, 0)], axis=2)
    size = float(np.max(np.abs(changes))) or 1.0
    swayed = _backwards(extended, [forward[0].y], [changes / size], (NEARBY,)).values[0]
    carried = _adjoints(extended, swayed, changes.shape)[..., :d] * size
    worst = largest_mean(carried, 2)
    own = extended.y0.size
    return with_seen(at_least(spread(values), worst), found.seen, lambda term: term[own:])


def _from_each_time(problem: Problem, d: int) -> Bounded:
    """The same of a stiff field, whose state cannot be followed backwards: dL/dy of a problem that starts at each time.

    What the bar of its start does to it is seen by moving the start by it, in one draw of random signs.
    """
    states, last = solution(problem), len(problem.ts) - 1
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=states.value.shape)

    def at_the_end(y: Array) -> Array:
        return problem.loss.gradient(y)[-1]

    found, terms = [at_the_end(states.value)], [np.zeros(problem.y0.shape)]
    terms[0] += 3 * float(np.max(np.abs(at_the_end(states.value + signs * states.radius) - found[0]), initial=0.0))
    looked = [states.looked_at]
    for i in reversed(range(last)):
        y, radius = states.value[i], states.radius[i]
        later = problem.with_(ts=problem.ts[i:], y0=y, loss=problem.loss.tail(i))
        own = gradient(later).y0
        bar = own.radius
        if i:
            beside = gradient(later.with_(y0=y + signs[i] * radius)).y0.value
            bar = bar + 3 * float(np.max(np.abs(beside - own.value)))
        found.append(own.value)
        terms.append(bar)
        looked.append(own.looked_at)
    value, bars = np.stack(found[::-1])[..., :d], np.stack(terms[::-1])[..., :d]
    return Bounded(value, {"of each time": bars}, looked_at=max((x for x in looked if x is not None), default=None))


def _adjoints(problem: Problem, w: Array, shape: tuple[int, ...]) -> Array:
    return w[:, problem.y0.size :].reshape(shape)


def _backwards(problem: Problem, ys: list[Array], slopes: list[Array], runs: tuple[tuple[str, float], ...]) -> Followed:
    """Several adjoints at once, driven by their own slopes (times, batch, adjoints, state), for each of the runs.

    The values are (times, state and adjoints) in the order of the problem's times.
    """
    shape, size, d = problem.y0.shape, problem.y0.size, problem.field.state
    jets = Jets(problem.field, problem.theta, 1)
    last = len(problem.ts) - 1

    def rate(t: float, w: Array) -> Array:
        jet = problem.field.jet(t, w[:size].reshape(shape), problem.theta, 1)
        assert jet.first is not None
        pulled = w[size:].reshape(slopes[0].shape[1:]) @ jet.first[:, :, 1 : 1 + d]
        return np.concatenate([jet.value.ravel(), -pulled.ravel()])

    def many(t: Array, w: Array) -> Array:
        jet = jets(t, w[:, :size].reshape(-1, *shape))
        assert jet.first is not None
        pulled = w[:, size:].reshape(-1, *slopes[0].shape[1:]) @ jet.first[..., 1 : 1 + d]
        return np.concatenate([jet.value.reshape(len(t), -1), -pulled.reshape(len(t), -1)], axis=1)

    def restart(y: Array, slope: Array) -> Restart:
        return lambda j, w: np.concatenate([y[last - j].ravel(), w[size:] + slope[last - j].ravel()])

    starts = [np.concatenate([y[-1].ravel(), slope[-1].ravel()]) for y, slope in zip(ys, slopes, strict=True)]
    restarts: list[Restart | None] = [restart(y, slope) for y, slope in zip(ys, slopes, strict=True)]
    seconds = _seconds(problem, jets)
    found = followed(problem, rate, many, starts, runs, restarts=restarts, backwards=True, seconds=seconds)
    return replace(found, values=tuple(values[::-1] for values in found.values))


def _seconds(problem: Problem, jets: Jets) -> float:
    return jets.alone(problem.ts[[0, -1]], problem.y0)


def _alone(call: Callable[[], Array]) -> float:
    begun = process_time()
    call()
    return process_time() - begun


def _value_and_trace(problem: Problem, t: float, y: Array) -> Array:
    """F and tr F_y of every row, by a product for each component of a row."""
    d = y.shape[1]
    got = [pull(problem.field, t, y, problem.theta, np.tile(e, (len(y), 1))) for e in np.eye(d)]
    return np.concatenate([got[0].value.ravel(), sum((one.y[:, i] for i, one in enumerate(got)), np.zeros(len(y)))])


@kept(128)
def volume(problem: Problem) -> Bounded:
    """exp ∫ tr F_y dt of every row, from ts[0] to ts[-1]: (batch,). Liouville's formula for det dy(T)/dy0."""
    shape, size, d = problem.y0.shape, problem.y0.size, problem.field.state
    jets = Jets(problem.field, problem.theta, 1)
    large = is_large(problem)

    def rate(t: float, w: Array) -> Array:
        y = w[:size].reshape(shape)
        if large:
            return _value_and_trace(problem, t, y)
        jet = problem.field.jet(t, y, problem.theta, 1)
        assert jet.first is not None
        return np.concatenate([jet.value.ravel(), np.trace(jet.first[:, :, 1 : 1 + d], axis1=1, axis2=2)])

    def many(t: Array, w: Array) -> Array:
        if large:
            return np.stack([rate(float(s), one) for s, one in zip(t, w, strict=True)])
        jet = jets(t, w[:, :size].reshape(-1, *shape))
        assert jet.first is not None
        traces = np.trace(jet.first[..., 1 : 1 + d], axis1=-2, axis2=-1)
        return np.concatenate([jet.value.reshape(len(t), -1), traces], axis=1)

    start = np.concatenate([problem.y0.ravel(), np.zeros(shape[0])])
    whole = problem.with_(ts=problem.ts[[0, -1]], loss=problem.loss.tail(len(problem.ts) - 2))
    seconds = _alone(lambda: rate(float(problem.ts[0]), start)) if large else _seconds(problem, jets)
    found = followed(whole, rate, many, [start] * len(RUNS), seconds=seconds)
    logarithm = spread([w[-1, size:] for w in found.values])
    logarithm = with_seen(logarithm, found.seen, lambda term: term[size:])
    value = np.exp(logarithm.value)
    # a sum of rounded traces may cancel to any size, but each step's share is rounded at the size of one at least
    rounded = 32 * float(np.finfo(np.float64).eps)
    bar = value * np.expm1(logarithm.radius + rounded)
    return Bounded(value, {"logarithm": bar}, looked_at=logarithm.looked_at)
