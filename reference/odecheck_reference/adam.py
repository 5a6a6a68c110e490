"""What is stated about AdamNODEs, solved as it stands: h' = −m R(v), m' = α1 (−f − m), v' = α2 (f² − v).

R = 1 / √(v + ε), or that of the code's denominator. J = ∂f/∂h along the solution. Adjoint states are rows, as in
`heavy_ball`: a[b, k] is that of row b for the loss y_k(T).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bounded import Array, Bounded
from .carried import carried, integrals_to_the_end
from .fields import Adam, Fixed, Free, Learnt
from .fields.adam import Coefficient
from .flow import solution
from .looked import kept
from .problem import Problem


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of a problem's Adam field, each by its own formula."""

    problem: Problem
    field: Adam

    @property
    def d(self) -> int:
        return self.field.inner.outputs

    def rates(self, t: float) -> tuple[float, float]:
        """α1 and α2."""
        n = self.field.inner.params
        middle = n + self.field.alpha1.params
        theta = self.problem.theta
        return tuple(
            float(c.jet(np.asarray(t), part)[0])
            for c, part in ((self.field.alpha1, theta[n:middle]), (self.field.alpha2, theta[middle:]))
        )  # type: ignore[return-value]

    @property
    def constant_rates(self) -> bool:
        return all(_constant(c) for c in (self.field.alpha1, self.field.alpha2))

    def split(self, y: Array) -> tuple[Array, Array, Array]:
        d = self.d
        return y[..., :d], y[..., d : 2 * d], y[..., 2 * d :]

    def reciprocal(self, v: Array) -> tuple[Array, Array]:
        """R(v) = 1 / D(v) and dR/dv = −D' / D²."""
        if self.field.denominator == "paper":
            root = np.sqrt(v + self.field.epsilon)
            return 1 / root, -1 / (2 * root**3)
        root = np.sqrt(np.logaddexp(0, v))
        whole = root + self.field.epsilon
        return 1 / whole, -1 / ((1 + np.exp(-v)) * 2 * root * whole**2)

    def force(self, t: float, y: Array) -> tuple[Array, Array]:
        """f and J: (batch, d) and (batch, d, d)."""
        jet = self.field.inner.jet(t, y[:, : self.d], self.problem.theta[: self.field.inner.params], 1)
        assert jet.first is not None
        return jet.value, jet.first[:, :, 1 : 1 + self.d]

    @property
    def unit(self) -> Array:
        return np.tile(np.eye(3 * self.d), (self.problem.batch, 1, 1))


def _constant(c: Coefficient) -> bool:
    return isinstance(c, Fixed | Free | Learnt)


def pieces(problem: Problem) -> Pieces:
    """Raises TypeError when the problem's field is no AdamNODE."""
    if not isinstance(problem.field, Adam):
        raise TypeError(f"the field is {type(problem.field).__name__}, no AdamNODE")
    return Pieces(problem, problem.field)


def _adjoint_rate(p: Pieces, t: float, y: Array, a: Array) -> tuple[Array, Array, Array]:
    (a_h, a_m, a_v), (_, m, v) = p.split(a), p.split(y)
    (f, jacobian), (alpha1, alpha2), (r, slope) = p.force(t, y), p.rates(t), p.reciprocal(v)
    return (
        (alpha1 * a_m - 2 * alpha2 * f[:, None] * a_v) @ jacobian,
        r[:, None] * a_h + alpha1 * a_m,
        (m * slope)[:, None] * a_h + alpha2 * a_v,
    )


@kept(64)
def adjoint(problem: Problem) -> Bounded:
    """a_h' = Jᵀ(α1 a_m − 2 α2 f ⊙ a_v), a_m' = R a_h + α1 a_m, a_v' = R' m ⊙ a_h + α2 a_v, for every loss y_k(T).

    (times, batch, state, state). With R = (v + ε)^(−1/2) the last one reads −a_h ⊙ m / (2 (v + ε)^(3/2)) + α2 a_v.
    """
    p = pieces(problem)
    return carried(problem, lambda t, y, a: np.concatenate(_adjoint_rate(p, t, y, a), axis=-1), p.unit, backwards=True)


@kept(64)
def filters(problem: Problem) -> Bounded:
    """a_m and a_v as filters of what drives them: (times, batch, state, 2 d).

    With A_i(t) = ∫_t^T α_i ds:  a_m(t) = e^{−A1} (a_m(T) − ∫_t^T e^{A1(s)} R a_h ds), and likewise a_v with R' m ⊙ a_h:
    exponential averages in reversed time with the rates of the forward pass.
    """
    p, d = pieces(problem), pieces(problem).d
    rates = np.zeros((problem.batch, 3 * d, 2))
    end = np.concatenate([p.unit, np.zeros((problem.batch, 3 * d, 2 * d)), rates], axis=-1)

    def rate(t: float, y: Array, w: Array) -> Array:
        a, grown = w[..., : 3 * d], w[..., 5 * d :]
        _, m, v = p.split(y)
        r, slope = p.reciprocal(v)
        a_h = a[..., :d]
        memory = np.exp(grown)
        driven = [memory[..., :1] * r[:, None] * a_h, memory[..., 1:] * (m * slope)[:, None] * a_h]
        alphas = np.broadcast_to(-np.array(p.rates(t)), grown.shape)
        return np.concatenate([*_adjoint_rate(p, t, y, a), *driven, alphas], axis=-1)

    def filtered(w: Array) -> Array:
        memory = np.repeat(np.exp(-w[..., 5 * d :]), d, axis=-1)
        return memory * (p.unit[..., d:] + w[..., 3 * d : 5 * d])

    return carried(problem, rate, end, backwards=True, quantity=filtered)


@kept(64)
def one_driver(problem: Problem) -> Bounded:
    """(a_m, a_v) of an AdamNODE in reversed time, whose v averages the square of what its m averages.

    In reversed time a_m is an average of −g with g = R a_h / α1. In an AdamNODE the third part is then
    the average of g² with rate α2: −a_v' = α2 (g² − a_v). The end is the slope of the problem's loss there.
    (times, batch, 2 d)
    """
    p, d = pieces(problem), pieces(problem).d
    end = last_slope(problem)
    start = np.concatenate([end, end[..., 2 * d :]], axis=-1)

    def rate(t: float, y: Array, w: Array) -> Array:
        a, literal = w[:, : 3 * d], w[:, 3 * d :]
        (alpha1, alpha2), (r, _) = p.rates(t), p.reciprocal(p.split(y)[2])
        g = r * a[:, :d] / alpha1
        right = _adjoint_rate(p, t, y, a[:, None])
        return np.concatenate([*(part[:, 0] for part in right), -alpha2 * (g * g - literal)], axis=-1)

    return carried(
        problem,
        rate,
        start,
        backwards=True,
        quantity=lambda w: np.concatenate([w[..., d : 2 * d], w[..., 3 * d :]], axis=-1),
    )


def last_slope(problem: Problem) -> Array:
    """∂L/∂y(T) of the observation at the last time alone: (batch, state)."""
    return problem.loss.gradient(solution(problem).value)[-1]


@kept(64)
def rates_to_the_end(problem: Problem) -> Bounded:
    """∫ (α1 + α2) dt from each time to the last one: (times,)."""
    p = pieces(problem)
    return integrals_to_the_end(lambda t: sum(p.rates(t)), problem.ts)


def decay_of_squares(problem: Problem) -> Bounded:
    """exp(−∫ α2 dt) from the first time to each: (times,)."""
    p = pieces(problem)
    left = integrals_to_the_end(lambda t: p.rates(t)[1], problem.ts)
    value = np.exp(left.value - left.value[0])
    return Bounded(value, {"integral": 2 * value * np.max(left.radius)})


def velocity_bound(problem: Problem) -> float | None:
    """The bound B of |h'| where one is proven, or None.

    Weights e^{−αt} and α e^{−α(t−s)} ds add up to one. So with α1 = α2 and m(0)² ≤ v(0), m² is at most v (Jensen), and
    |h'| ≤ 1. With m(0) = 0 and 2 α1 > α2, Cauchy–Schwarz splits e^{−α1 s} f into e^{−(α1 − α2/2) s} and e^{−α2 s/2} f:
    |h'| ≤ α1 / √(α2 (2 α1 − α2)). Both need constant rates and time that runs forwards.
    """
    p = pieces(problem)
    if not p.constant_rates or problem.ts[0] > problem.ts[-1]:
        return None
    (alpha1, alpha2), (_, m0, v0) = p.rates(problem.ts[0]), p.split(problem.y0)
    if alpha1 == alpha2 and (m0**2 <= v0).all():
        return 1.0
    if (m0 == 0).all() and (v0 >= 0).all() and 2 * alpha1 > alpha2:
        return float(alpha1 / np.sqrt(alpha2 * (2 * alpha1 - alpha2)))
    return None
