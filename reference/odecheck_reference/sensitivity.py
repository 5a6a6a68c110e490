"""Gradient, Hessian and Gauss–Newton matrix of a problem's loss, in y0, theta and every time, with error bars.

The loss L = Φ(y(ts)) + ∫ ℓ dt is a function of x = (y0 of all rows, theta, ts). An integral term becomes one more
state q' = ℓ. Derivatives of an observed state in the times follow from the flow's own differential equation:

    dy_i/dt_i = F_i,      dy_i/dt_0 = −S_i^y F_0,                        (S^y: the columns of y0)
    d2y_i/dt_i2 = F_t + F_y F,      d2y_i/dt_i dzeta = F_y S_i + [0 F_theta],
    d2y_i/dt_0 dzeta = −S2_i^{y.} F_0 − S_i^y dF_0/dzeta,      d2y_i/dt_0 dt_i = −F_y S_i^y F_0,
    d2y_i/dt_0^2 = S2_i^{yy}[F_0, F_0] + S_i^y (F_y F − F_t)_0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .bounded import Array, Bounded
from .fields.field import AnyArray, Jet
from .fields.pulled import Pulled, pull
from .first_order import first_order
from .flat import is_large
from .flow import Trajectory, bounded, trajectories
from .losses import Loss, RunningCost
from .problem import Problem


@dataclass(frozen=True)
class Gradient:
    """The first derivatives of a problem's loss, with their error bars.

    Attributes:
        y0: dL/dy0, (batch, state).
        theta: dL/dtheta, (params,).
        ts: dL/dts, (times,); its first entry is that of the start time.
    """

    y0: Bounded
    theta: Bounded
    ts: Bounded


@dataclass(frozen=True, eq=False)
class CostField:
    """(y, q)' = (F, ℓ): a field with its running cost as one more state.

    Attributes:
        field: F.
        cost: ℓ.
    """

    field: Any
    cost: RunningCost

    @property
    def state(self) -> int:
        """One more than the field has."""
        return self.field.state + 1

    @property
    def params(self) -> int:
        """As many as the field has."""
        return self.field.params

    @property
    def parts(self) -> dict[str, slice]:
        """The field's, and "cost", the last."""
        return {**self.field.parts, "cost": slice(self.field.state, self.field.state + 1)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        """As `Field.jet`, of (F, ℓ); nothing depends on q."""
        d = self.field.state
        inner = self.field.jet(t, y[:, :d], theta, order)
        cost = self.cost.jet(t, y[:, :d], theta, order)

        halves = ((slice(0, 1 + d), slice(0, 1 + d)), (slice(1 + d, None), slice(2 + d, None)))

        def stacked(a: AnyArray | None, b: AnyArray | None) -> AnyArray | None:
            if a is None or b is None:
                return None
            both = np.concatenate([a, b[:, None]], axis=1)
            wider = np.zeros((*both.shape[:2], *(size + 1 for size in both.shape[2:])), dtype=both.dtype)
            for blocks in product(halves, repeat=both.ndim - 2):  # nothing depends on q
                wider[(..., *(to for _, to in blocks))] = both[(..., *(of for of, _ in blocks))]
            return wider

        value = stacked(inner.value, cost[0])
        assert value is not None
        return Jet(value, stacked(inner.first, cost[1]), stacked(inner.second, cost[2]))

    def pull(self, t: Any, y: AnyArray, theta: AnyArray, a: AnyArray) -> Pulled:
        """As `fields.pulled.pull`, of (F, ℓ)."""
        d = self.field.state
        inner = pull(self.field, t, y[:, :d], theta, a[:, :d])
        value, first, _ = self.cost.jet(t, y[:, :d], theta, 1)
        assert first is not None
        own = a[:, d:] * first
        return Pulled(
            np.concatenate([inner.value, value[:, None]], axis=1),
            inner.t + own[:, 0],
            np.concatenate([inner.y + own[:, 1 : 1 + d], 0 * a[:, d:]], axis=1),
            inner.theta + own[:, 1 + d :].sum(axis=0),
        )


@dataclass(frozen=True, eq=False)
class _CostLoss:
    """Φ(y) + Σ q(T) on the extended state."""

    loss: Loss

    def check(self, shape: tuple[int, int, int]) -> None:
        self.loss.check((shape[0], shape[1], shape[2] - 1))

    def value(self, y: AnyArray) -> Any:
        return self.loss.value(y[..., :-1]) + np.sum(y[-1, :, -1])

    def gradient(self, y: AnyArray) -> AnyArray:
        g = np.concatenate([self.loss.gradient(y[..., :-1]), np.zeros((*y.shape[:2], 1))], axis=-1)
        g[-1, :, -1] = 1.0
        return g

    def hessian(self, y: AnyArray) -> AnyArray:
        return np.pad(self.loss.hessian(y[..., :-1]), ((0, 0), (0, 0), (0, 1), (0, 1)))

    def tail(self, first: int) -> _CostLoss:
        return _CostLoss(self.loss.tail(first))


def with_cost_as_state(problem: Problem) -> Problem:
    """The same problem with its integral term, if any, as a last state component q(ts[0]) = 0.

    The extended problem is kept on the problem itself, so that its trajectories are shared by all questions.
    """
    if problem.running is None:
        return problem
    kept = problem.__dict__.get("_extended")
    if kept is None:
        y0 = np.concatenate([problem.y0, np.zeros((problem.batch, 1))], axis=1)
        field = CostField(problem.field, problem.running)
        kept = problem.with_(field=field, y0=y0, loss=_CostLoss(problem.loss), running=None)
        object.__setattr__(problem, "_extended", kept)
    return kept


def loss(problem: Problem) -> Bounded:
    """The loss L of a problem, a scalar.

    Args:
        problem: what is asked about.

    Returns:
        L with its error bar, in the units of the loss.
    """
    extended = with_cost_as_state(problem)
    return bounded(extended, 0, lambda run: np.asarray(extended.loss.value(run.y)))


def gradient(problem: Problem) -> Gradient:
    """The derivatives of L in y0, theta and all times: from the first variational equation, or by the adjoint.

    The variational equation carries a column for each parameter; of a large problem the adjoint is followed.

    Args:
        problem: what is asked about.

    Returns:
        The three parts, each with its error bar: what the claims NODE-1 to NODE-3 compare with.
    """
    extended = with_cost_as_state(problem)
    size, state, n = problem.batch * problem.field.state, problem.field.state, problem.field.params
    if is_large(extended):
        found = first_order(extended)
        return Gradient(_without_cost(found.y0, state), found.theta, found.ts)

    def part(where: slice) -> Bounded:
        return bounded(extended, 1, lambda run: _gradient(extended, run, state)[where])

    y0 = part(slice(0, size))
    shaped = {k: b.reshape(problem.y0.shape) for k, b in y0.budget.items()}
    y0 = Bounded(y0.value.reshape(problem.y0.shape), shaped, looked_at=y0.looked_at)
    ts = part(slice(size + n, None))
    rounded = Bounded(
        ts.value, {**ts.budget, "roundoff of the field": _rates_rounded(extended)}, looked_at=ts.looked_at
    )
    return Gradient(y0, part(slice(size, size + n)), rounded)


def _without_cost(found: Bounded, state: int) -> Bounded:
    kept = {name: term[..., :state] for name, term in found.budget.items()}
    return Bounded(found.value[..., :state], kept, looked_at=found.looked_at)


def _rates_rounded(problem: Problem) -> float:
    """How much of dL/dts may be round-off of F itself: 8 eps Σ |F_z| |z| for each F, z = (t, y, theta).

    F may be a small difference of large terms, at an equilibrium for one, that no bar of the state knows of.
    """
    run = trajectories(problem, 1)[0]
    assert run.first is not None
    slopes, d = problem.loss.gradient(run.y), problem.field.state
    pulled = np.einsum("tbi,tbij->bj", slopes, run.first[..., :d])
    weights = [pulled, *slopes[1:]]  # of F at the start, and at each later time
    worst = 0.0
    for t, y, weight in zip(problem.ts, run.y, weights, strict=True):
        jet = problem.field.jet(float(t), y, problem.theta, 1)
        assert jet.first is not None
        z = np.concatenate([np.full((len(y), 1), t), y, np.tile(problem.theta, (len(y), 1))], axis=1)
        size = np.einsum("bip,bp->bi", np.abs(jet.first), np.abs(z))
        worst = max(worst, float(np.sum(np.abs(weight) * size)))
    return 8 * float(np.finfo(np.float64).eps) * worst


def hessian(problem: Problem) -> Bounded:
    """The second derivatives of L in (y0, theta, ts).

    Args:
        problem: what is asked about.

    Returns:
        A symmetric matrix of batch · state + params + times rows, with its error bars.
    """
    extended = with_cost_as_state(problem)
    return bounded(extended, 2, lambda run: _hessian(extended, run, problem.field.state, curved=True))


def gauss_newton(problem: Problem) -> Bounded:
    """The Gauss–Newton matrix Xᵀ Φ_yy X with X = d y(ts)/d(y0, theta, ts): the Hessian without the flow's curvature.

    Args:
        problem: what is asked about.

    Returns:
        A symmetric matrix of batch · state + params + times rows, with its error bars: what the claim SNOPT-2 compares
        with.
    """
    extended = with_cost_as_state(problem)
    return bounded(extended, 2, lambda run: _hessian(extended, run, problem.field.state, curved=False))


def _observed(problem: Problem, run: Trajectory) -> tuple[Array, Array | None]:
    """First and second derivatives of each observed row in (its y0, theta, ts).

    Returns (times, batch, state, M) and (times, batch, state, M, M) or None, M = state + params + times.
    """
    assert run.first is not None
    (times, batch, d), p = problem.observations, run.first.shape[-1]
    order = 1 if run.second is None else 2
    jets = [problem.field.jet(float(t), y, problem.theta, order - 1) for t, y in zip(problem.ts, run.y, strict=True)]
    f0 = jets[0].value
    first = np.zeros((times, batch, d, p + times))
    first[..., :p] = run.first
    for i in range(1, times):
        first[i, ..., p + i] = jets[i].value
        first[i, ..., p] = -np.einsum("bij,bj->bi", run.first[i][..., :d], f0)
    if run.second is None:
        return first, None
    second = np.zeros((*first.shape, p + times))
    second[..., :p, :p] = run.second
    for i in range(1, times):
        _time_blocks(second[i], i, jets[0], jets[i], run.first[i], run.second[i])
    return first, second


def _time_blocks(out: Array, i: int, start: Jet, end: Jet, s: Array, s2: Array) -> None:
    """Fill the rows and columns of t_0 and t_i of one observation: the formulas of the module's docstring."""
    assert start.first is not None and end.first is not None
    d, p = s.shape[1], s.shape[2]
    f0, f = start.value, end.value
    f0_t, f0_y = start.first[..., 0], start.first[..., 1 : 1 + d]
    f_t, f_y = end.first[..., 0], end.first[..., 1 : 1 + d]
    sy = s[..., :d]
    end_zeta = f_y @ s
    end_zeta[..., d:] += end.first[..., 1 + d :]
    start_zeta = -np.einsum("bkip,bi->bkp", s2[:, :, :d], f0) - sy @ start.first[..., 1:]
    out[..., p + i, :p] = out[..., :p, p + i] = end_zeta
    out[..., p, :p] = out[..., :p, p] = start_zeta
    out[..., p + i, p + i] = f_t + _apply(f_y, f)
    out[..., p, p + i] = out[..., p + i, p] = -_apply(f_y @ sy, f0)
    bent = np.einsum("bkij,bi,bj->bk", s2[:, :, :d, :d], f0, f0)
    out[..., p, p] = bent + _apply(sy, _apply(f0_y, f0) - f0_t)


def _apply(matrix: Array, vector: Array) -> Array:
    return np.einsum("bij,bj->bi", matrix, vector)


def _columns(problem: Problem, row: int, state: int, local: int) -> tuple[Any, Any]:
    """Where one row's (y0, theta, ts) sit among the row-local columns and in the whole vector.

    `state` leaves out the start of a cost component, which is no variable of the problem.
    """
    d = problem.field.state
    rest = local - d
    kept = np.r_[0:state, d:local]
    whole = np.r_[row * state : (row + 1) * state, problem.batch * state : problem.batch * state + rest]
    return kept, whole


def _gradient(problem: Problem, run: Trajectory, state: int) -> Array:
    first, _ = _observed(problem, run)
    slopes = problem.loss.gradient(run.y)
    total = np.zeros(problem.batch * state + first.shape[-1] - problem.field.state)
    for row in range(problem.batch):
        kept, whole = _columns(problem, row, state, first.shape[-1])
        total[whole] += np.einsum("ki,kim->m", slopes[:, row], first[:, row])[kept]
    return total


def _hessian(problem: Problem, run: Trajectory, state: int, curved: bool) -> Array:
    first, second = _observed(problem, run)
    assert second is not None
    slopes, curvature = problem.loss.gradient(run.y), problem.loss.hessian(run.y)
    size = problem.batch * state + first.shape[-1] - problem.field.state
    total = np.zeros((size, size))
    for row in range(problem.batch):
        kept, whole = _columns(problem, row, state, first.shape[-1])
        x = first[:, row]
        block = np.einsum("kim,kij,kjl->ml", x, curvature[:, row], x)
        if curved:
            block = block + np.einsum("ki,kiml->ml", slopes[:, row], second[:, row])
        total[np.ix_(whole, whole)] += block[np.ix_(kept, kept)]
    return total
