"""The exact flow and its derivatives, with error bars: forward variational equations on scipy's integrators.

With zeta = (y0 of one row, theta), P = state + params, along y' = F(t, y, theta):

    S  = dy/dzeta       S'  = F_y S + [0  F_theta]
    S2 = d2y/dzeta2     S2' = F_y S2 + F_zz[Z, Z],   Z = d(y, theta)/dzeta = [S; 0 I]

(Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, section I.14.)

The bar. Two solver families, explicit Runge–Kutta of order 8 at three tolerances and implicit multistep
(Adams–Moulton/BDF) at two. The value is the sharpest Runge–Kutta run. Its truncation error is bounded by three times
the distance to the run at ten times its tolerance, or a tenth of that to the run at a hundred times: errors in
proportion to the tolerance make the two alike, and a single component may agree with one of them by accident, hardly
with both. The other family vouches for the first: a distance between the two families that the second family's own
spread does not explain becomes a term of the bar. All distances are taken in the largest component of a quantity, so
that a component which happens to agree has no smaller bar than its neighbours.

A quantity made of the flow, above all a scalar such as a loss, may agree between two runs by accident, or be a small
difference of large numbers. Therefore its bar is at least what the bars of the flow and its derivatives do to it: the
root mean square of its change when all their components move by their bars, with random signs. As these bars are three
times an observed distance, that is three standard deviations of what the errors behind them do to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, cast

import numpy as np
from scipy.integrate import solve_ivp  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from .bounded import Array, Bounded
from .fields.field import AnyArray, Field
from .problem import Problem

_solve_ivp = cast(Any, solve_ivp)
SHARP = ("DOP853", 1e-13)
NEARBY = ("DOP853", 1e-12)
FARTHER = ("DOP853", 1e-11)
OTHER = ("LSODA", 1e-11)
OTHER_NEARBY = ("LSODA", 1e-10)
RUNS = (SHARP, NEARBY, FARTHER, OTHER, OTHER_NEARBY)
MAX_EVALUATIONS = 200_000
# Draws of random signs for `moved`: the root mean square of 16 normal numbers is below a third of their standard
# deviation once in 200,000 times, P(chi-square with 16 degrees of freedom < 16/9).
SIGNS = 16


class FlowError(ArithmeticError):
    """The flow does not exist up to the last time, or cannot be followed within the budget."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One run: y (times, batch, state), S (times, batch, state, P), S2 (times, batch, state, P, P)."""

    y: Array
    first: Array | None = None
    second: Array | None = None


def solve(problem: Problem, order: int, method: str, tolerance: float) -> Trajectory:
    """Solve the variational equations up to `order` (0, 1 or 2), stepping onto every observation time.

    Raises FlowError when the solver fails, the state leaves the finite numbers or the budget is spent.
    """
    batch, d, n = problem.batch, problem.field.state, problem.field.params
    system = _System(problem.field, problem.theta, batch, order)
    w = system.start(problem.y0)
    rows = [w]
    for start, stop in zip(problem.ts[:-1], problem.ts[1:], strict=True):
        span = (float(start), float(stop))
        w = integrate(system, span, w, method, tolerance, problem, longest=longest(problem))
        rows.append(w)
    blocks = system.blocks(np.stack(rows))
    assert all(b.shape[1:3] == (batch, d) for b in blocks) and n == problem.field.params
    return Trajectory(*blocks)


def integrate(
    rhs: Callable[[float, Array], Array],
    span: tuple[float, float],
    w: Array,
    method: str,
    tolerance: float,
    problem: Problem,
    *,
    longest: float = np.inf,
) -> Array:
    """The state at span[1]: (size,), of which the problem's own is the first part. Nothing is interpolated.

    The absolute tolerance of that part is relative to where the problem starts, if that is below one: errors of a state
    of 1e-12 would not be looked at otherwise, runs at all tolerances would take the same steps and agree to the bit.
    longest: the longest step that the multistep family may take; see the function of that name.
    """
    calls, name = 0, problem.name
    absolute = np.full(w.size, 0.1 * tolerance)
    absolute[: problem.y0.size] *= min(float(np.max(np.abs(problem.y0))), 1.0) or 1.0

    def counted(t: float, state: Array) -> Array:
        nonlocal calls
        calls += 1
        if calls > MAX_EVALUATIONS:
            raise FlowError(
                f"problem {name!r}: more than {MAX_EVALUATIONS} evaluations up to t = {t:.6g}; "
                "the problem is very stiff or its interval too long. Shorten the times."
            )
        return rhs(t, state)

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        result: Any = _solve_ivp(
            counted,
            span,
            w,
            method=method,
            rtol=tolerance,
            atol=absolute,
            t_eval=[span[1]],
            max_step=longest if method == OTHER[0] else np.inf,
        )
    if not result.success or not np.isfinite(result.y).all():
        raise FlowError(
            f"problem {name!r}: {method} at tolerance {tolerance:g} did not reach t = {span[1]:g} from "
            f"{span[0]:g} ({result.message}). The solution may end there; shorten the times."
        )
    return result.y[:, -1]


def longest(problem: Problem) -> float:
    """The longest step of the multistep family, a hundredth of the window.

    All solvers grow their steps where nothing happens, and then step over a short feature together. One family that
    may not do so disagrees with the other, and the bar shows it.
    """
    return float(abs(problem.ts[-1] - problem.ts[0])) / 100


class _System:
    """The variational equations of all rows as one flat ODE."""

    def __init__(self, field: Field, theta: Array, batch: int, order: int) -> None:
        self.field, self.theta, self.batch, self.order = field, theta, batch, order
        self.d, self.p = field.state, field.state + field.params
        self.shapes = [(batch, self.d, *(self.p,) * k) for k in range(order + 1)]
        self.cuts = np.cumsum([int(np.prod(s)) for s in self.shapes])[:-1]

    def blocks(self, w: AnyArray) -> list[AnyArray]:
        parts = np.split(w, self.cuts, axis=-1)
        return [part.reshape(*w.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def start(self, y0: AnyArray) -> AnyArray:
        zero = np.zeros((self.batch, self.d, self.p))
        zero[:, np.arange(self.d), np.arange(self.d)] = 1.0
        pieces = [y0, zero, np.zeros((self.batch, self.d, self.p, self.p))][: self.order + 1]
        return np.concatenate([piece.reshape(-1) for piece in pieces])

    def __call__(self, t: float, w: AnyArray) -> AnyArray:
        blocks = self.blocks(w)
        jet = self.field.jet(t, blocks[0], self.theta, self.order)
        rates = [jet.value]
        if self.order >= 1:
            assert jet.first is not None
            f_y, f_theta = jet.first[:, :, 1 : 1 + self.d], jet.first[:, :, 1 + self.d :]
            s_rate = f_y @ blocks[1]
            s_rate[:, :, self.d :] += f_theta
            rates.append(s_rate)
        if self.order == 2:
            assert jet.first is not None and jet.second is not None
            z = np.concatenate([blocks[1], self._theta_rows(w)], axis=1)[:, None]  # (batch, 1, state + params, P)
            curvature = np.swapaxes(z, -1, -2) @ jet.second[:, :, 1:, 1:] @ z
            linear = np.einsum("bij,bjpq->bipq", jet.first[:, :, 1 : 1 + self.d], blocks[2])
            rates.append(linear + curvature)
        return np.concatenate([rate.reshape(-1) for rate in rates])

    def _theta_rows(self, w: AnyArray) -> AnyArray:
        rows = np.concatenate([np.zeros((self.p - self.d, self.d)), np.eye(self.p - self.d)], axis=1)
        return np.broadcast_to(rows, (self.batch, *rows.shape))


@lru_cache(maxsize=128)
def trajectories(problem: Problem, order: int) -> tuple[Trajectory, ...]:
    """The runs of `RUNS`; kept, because many claims ask for the same problem."""
    return tuple(solve(problem, order, *run) for run in RUNS)


def spread(values: list[Array]) -> Bounded:
    """Combine the same quantity from the runs of `RUNS` into a value with its bar; see the module's docstring."""
    sharp, nearby, farther, other, other_nearby = values

    def distance(a: Array, b: Array) -> float:
        return float(np.max(np.abs(a - b), initial=0.0))

    truncation = 3 * max(distance(sharp, nearby), distance(sharp, farther) / 10)
    apart, explained = distance(sharp, other), 3 * distance(other, other_nearby)
    disagree = apart + explained if apart > explained + truncation else 0.0  # then nobody knows which of them is right
    # a sum of s step increments, each rounded, at the scale of the largest component
    roundoff = 32 * np.finfo(np.float64).eps * float(np.max(np.abs(sharp), initial=0.0))
    return Bounded(sharp, {"truncation": truncation, "families disagree": disagree, "roundoff": roundoff})


@lru_cache(maxsize=128)
def moved(problem: Problem, order: int) -> tuple[Trajectory, ...]:
    """The sharpest run with every component moved by its bar, up or down at random; the start is known and stays."""
    rng = np.random.default_rng(0)
    runs = trajectories(problem, order)
    blocks = [b for b in (runs[0].y, runs[0].first, runs[0].second) if b is not None]
    others = [[b for b in (run.y, run.first, run.second) if b is not None] for run in runs]
    radii = [_radii([other[k] for other in others], problem.field.state) for k in range(len(blocks))]

    def signs(block: Array) -> Array:
        sign = rng.choice([-1.0, 1.0], size=block.shape)
        sign[0] = 0.0
        return sign

    return tuple(Trajectory(*(b + r * signs(b) for b, r in zip(blocks, radii, strict=True))) for _ in range(SIGNS))


def _radii(block: list[Array], d: int) -> Array:
    """The bar of each part of a block: derivatives in y0 and in theta, and mixed ones, have scales of their own."""
    radius = np.zeros_like(block[0])
    axes = block[0].ndim - 3
    for corner in product((slice(0, d), slice(d, None)), repeat=axes):
        where = (..., *corner)
        radius[where] = spread([b[where] for b in block]).radius
    return radius


def bounded(problem: Problem, order: int, quantity: Callable[[Trajectory], Array]) -> Bounded:
    """Any quantity of the flow and its first `order` derivatives, with its bar."""
    seen = spread([np.asarray(quantity(run), dtype=np.float64) for run in trajectories(problem, order)])
    squares = sum((quantity(run) - seen.value) ** 2 for run in moved(problem, order))
    return at_least(seen, float(np.max(np.sqrt(squares / SIGNS), initial=0.0)))


def at_least(seen: Bounded, propagated: float) -> Bounded:
    """The same with a bar not below `propagated`, what the bars of its ingredients do to it."""
    missing = max(propagated - float(np.max(seen.radius, initial=0.0)), 0.0)
    return Bounded(seen.value, {**seen.budget, "propagated": missing})


def solution(problem: Problem) -> Bounded:
    """y at all times: (times, batch, state)."""
    return spread([run.y for run in trajectories(problem, 0)])


def transition(problem: Problem) -> Bounded:
    """State-transition matrix dy(ts[i])/dy(ts[0]) of every row: (times, batch, state, state)."""
    d = problem.field.state

    def block(run: Trajectory) -> Array:
        assert run.first is not None
        return run.first[..., :d]

    return spread([block(run) for run in trajectories(problem, 1)])
