"""What is stated about heavy-ball neural ODEs, solved as it stands: h' = s(m), m' = −γ m + f(t, h) − ξ h.

With "code" signs c = −1 (else c = 1): h' = s(c m), m' = −γ m + f − c ξ h. J = ∂f/∂h along the solution. Adjoint states
are rows: a[b, k] is that of row b for the loss y_k(T), so the end value is the identity and Jᵀ a reads a @ J.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array, Bounded
from .carried import carried, carried_parts, integrals_to_the_end
from .fields import ACTIVATIONS, Fixed, HeavyBall
from .flow import SHARP, solution, solve
from .looked import kept
from .losses import Linear
from .problem import Problem

linalg: Any = scipy.linalg  # has no type stubs


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of a problem's heavy-ball field, each by its own formula."""

    problem: Problem
    field: HeavyBall

    @property
    def d(self) -> int:
        return self.field.inner.outputs

    @property
    def sign(self) -> int:
        return 1 if self.field.signs == "paper" else -1

    @property
    def plain(self) -> bool:
        """h' = c m without a spring: an HBNODE in the narrow sense."""
        return self.field.activation == "identity" and self.field.xi == Fixed(0.0)

    def gamma(self, t: float) -> tuple[float, float]:
        """γ and γ'."""
        n = self.field.inner.params
        value, first, _ = self.field.gamma.jet(np.asarray(t), self.problem.theta[n : n + self.field.gamma.params])
        return float(value), float(first[0])

    def xi(self, t: float) -> float:
        n = self.field.inner.params + self.field.gamma.params
        return float(self.field.xi.jet(np.asarray(t), self.problem.theta[n:])[0])

    def slope(self, y: Array) -> Array:
        """∂h'/∂m = c s'(c m): (batch, d)."""
        return self.sign * ACTIVATIONS[self.field.activation].first(self.sign * y[:, self.d :])

    def force(self, t: float, y: Array) -> Array:
        return self.field.inner.jet(t, y[:, : self.d], self._inner_theta, 0).value

    def jacobian(self, t: float, y: Array) -> Array:
        """J: (batch, d, d)"""
        first = self.field.inner.jet(t, y[:, : self.d], self._inner_theta, 1).first
        assert first is not None
        return first[:, :, 1 : 1 + self.d]

    def jacobian_rate(self, t: float, y: Array) -> Array:
        """dJ/dt along the solution, f_ht + f_hh h': (batch, d, d)"""
        second = self.field.inner.jet(t, y[:, : self.d], self._inner_theta, 2).second
        assert second is not None
        velocity = self.problem.field.jet(t, y, self.problem.theta, 0).value[:, : self.d]
        bent = np.einsum("bijk,bk->bij", second[:, :, 1 : 1 + self.d, 1 : 1 + self.d], velocity)
        return second[:, :, 1 : 1 + self.d, 0] + bent

    @property
    def _inner_theta(self) -> Array:
        return self.problem.theta[: self.field.inner.params]

    @property
    def unit(self) -> Array:
        """a(T) of every loss y_k(T): (batch, state, state)"""
        return np.tile(np.eye(2 * self.d), (self.problem.batch, 1, 1))


def pieces(problem: Problem) -> Pieces:
    """Raises TypeError when the problem's field is no heavy ball."""
    if not isinstance(problem.field, HeavyBall):
        raise TypeError(f"the field is {type(problem.field).__name__}, no heavy-ball ODE")
    return Pieces(problem, problem.field)


@kept(64)
def by_integrating_factor(problem: Problem) -> Bounded:
    """(h, m) from h'' + γ h' = c f as h' = e^{−G} u, u' = e^G c f, G = ∫ γ dt: (times, batch, state).

    The same equation in other variables: no momentum is ever formed, m is read off as c h'.
    """
    p, d = pieces(problem), pieces(problem).d
    start = np.concatenate([problem.y0[:, :d], p.sign * problem.y0[:, d:], np.zeros((problem.batch, 1))], axis=1)

    def rate(t: float, y: Array, w: Array) -> Array:
        grown = np.exp(w[:, 2 * d :])
        f = p.sign * p.force(t, w[:, :d])
        return np.concatenate([w[:, d : 2 * d] / grown, grown * f, np.full((len(w), 1), p.gamma(t)[0])], axis=1)

    def state(w: Array) -> Array:
        return np.concatenate([w[..., :d], p.sign * w[..., d : 2 * d] / np.exp(w[..., 2 * d :])], axis=-1)

    return carried(problem, rate, start, quantity=state)


@kept(64)
def adjoint(problem: Problem) -> Bounded:
    """a_h' = −(J − c ξ I)ᵀ a_m, a_m' = −c s'(c m) ⊙ a_h + γ a_m: (times, batch, state, state)."""
    p = pieces(problem)

    def rate(t: float, y: Array, a: Array) -> Array:
        a_h, a_m = a[..., : p.d], a[..., p.d :]
        pulled = a_m @ p.jacobian(t, y) - p.sign * p.xi(t) * a_m
        return np.concatenate([-pulled, -p.slope(y)[:, None] * a_h + p.gamma(t)[0] * a_m], axis=-1)

    return carried(problem, rate, p.unit, backwards=True)


@kept(64)
def momentum_adjoint(problem: Problem, *, with_rate_of_damping: bool) -> Bounded:
    """a_m'' − γ a_m' (− γ' a_m) = c Jᵀ a_m and a_h = c (γ a_m − a_m'): (times, batch, state, state)."""
    p = pieces(problem)
    end = np.concatenate(
        [p.unit[..., p.d :], p.gamma(problem.ts[-1])[0] * p.unit[..., p.d :] - p.sign * p.unit[..., : p.d]], axis=-1
    )

    def rate(t: float, y: Array, w: Array) -> Array:
        (gamma, change), a_m, a_m_t = p.gamma(t), w[..., : p.d], w[..., p.d :]
        bend = gamma * a_m_t + p.sign * a_m @ p.jacobian(t, y) + with_rate_of_damping * change * a_m
        return np.concatenate([a_m_t, bend], axis=-1)

    def both(w: Array) -> Array:
        gamma = np.array([p.gamma(t)[0] for t in problem.ts])[:, None, None, None]
        return np.concatenate([p.sign * (gamma * w[..., : p.d] - w[..., p.d :]), w[..., : p.d]], axis=-1)

    return carried(problem, rate, end, backwards=True, quantity=both)


@kept(64)
def position_adjoint_read_literally(problem: Problem) -> tuple[Bounded, ...]:
    """The solution of a_h'' − γ a_h' = c Jᵀ a_h with the right a_h(T), a_h'(T), and what it is off by.

    From a_h' = −Jᵀ a_m follows a_h'' = −Jᵀ a_m' − (dJ/dt)ᵀ a_m = γ a_h' + c Jᵀ a_h − (dJ/dt)ᵀ a_m. So the equation read
    literally leaves the residual −(dJ/dt)ᵀ a_m, and the right a_h is the literal one plus δ, where
    δ'' − γ δ' − c Jᵀ δ = −(dJ/dt)ᵀ a_m, δ(T) = δ'(T) = 0. Both are (times, batch, state, d).
    """
    p, d = pieces(problem), pieces(problem).d
    jacobian = p.jacobian(problem.ts[-1], solution(problem).value[-1])
    slope = -p.unit[..., d:] @ jacobian
    end = np.concatenate([p.unit[..., :d], slope, p.unit, 0 * slope, 0 * slope], axis=-1)

    def rate(t: float, y: Array, w: Array) -> Array:
        literal, literal_t, a_h, a_m, delta, delta_t = (w[..., k * d : (k + 1) * d] for k in range(6))
        jacobian, gamma = p.jacobian(t, y), p.gamma(t)[0]
        literal_bend = gamma * literal_t + p.sign * literal @ jacobian
        bend = gamma * delta_t + p.sign * delta @ jacobian - a_m @ p.jacobian_rate(t, y)
        right = [-a_m @ jacobian, -p.sign * a_h + gamma * a_m]
        return np.concatenate([literal_t, literal_bend, *right, delta_t, bend], axis=-1)

    def part(k: int) -> Callable[[Array], Array]:
        return lambda w: w[..., k * d : (k + 1) * d]

    return carried_parts(problem, rate, end, [part(0), part(4)], backwards=True)


@kept(64)
def damping_to_the_end(problem: Problem) -> Bounded:
    """∫ γ dt from each time to the last one: (times,)."""
    p = pieces(problem)
    return integrals_to_the_end(lambda t: p.gamma(t)[0], problem.ts)


def _exponentials(matrices: Array) -> Array:
    return np.stack([np.asarray(linalg.expm(row), dtype=np.float64) for row in matrices])


def _bracket(a: Array, b: Array) -> Array:
    return a @ b - b @ a


@kept(64)
def magnus(problem: Problem) -> tuple[Bounded, ...]:
    """exp(Ω1), exp(Ω1 + Ω2) and exp(Ω1 + … + Ω4) for dy(T)/dy0, each (batch, state, state).

    Ω1' = M, Ω2' = ½ [M, Ω1], Ω3' = ½ [M, Ω2] + [Ω1, [Ω1, M]] / 12 and
    Ω4' = ½ [M, Ω3] + ([Ω1, [Ω2, M]] + [Ω2, [Ω1, M]]) / 12, with M = ∂F/∂y along the solution.
    Ω1 alone is the plain exponential of the integral, right where all M commute.
    """
    d = problem.field.state

    def rate(t: float, y: Array, w: Array) -> Array:
        first = problem.field.jet(t, y, problem.theta, 1).first
        assert first is not None
        m, one, two, three = first[:, :, 1 : 1 + d], w[0], w[1], w[2]
        third = _bracket(m, two) / 2 + _bracket(one, _bracket(one, m)) / 12
        nested = _bracket(one, _bracket(two, m)) + _bracket(two, _bracket(one, m))
        return np.stack([m, _bracket(m, one) / 2, third, _bracket(m, three) / 2 + nested / 12])

    def upto(terms: int) -> Callable[[Array], Array]:
        return lambda w: _exponentials(w[-1, :terms].sum(axis=0))

    return carried_parts(problem, rate, np.zeros((4, problem.batch, d, d)), [upto(1), upto(2), upto(4)])


@kept(64)
def ordered_exponential(problem: Problem, cells: int = 8) -> Bounded:
    """dy(T)/dy0 as a product of exponentials of short pieces, latest leftmost: (batch, state, state).

    Each piece of length k has the exponent k/2 (M1 + M2) − √3/12 k² [M1, M2] with M at the two Gauss points, an
    error of order k⁴ in the product: one Richardson step on `cells` and 2 · `cells` pieces, whose distance is the bar.
    """
    coarse, fine = _product(problem, cells), _product(problem, 2 * cells)
    best = fine + (fine - coarse) / 15
    return Bounded(best, {"pieces": float(np.max(np.abs(fine - coarse)) / 15)})


def _product(problem: Problem, cells: int) -> Array:
    d, start, end = problem.field.state, problem.ts[0], problem.ts[-1]
    width = (end - start) / cells
    gauss = np.array([0.5 - np.sqrt(3) / 6, 0.5 + np.sqrt(3) / 6])
    nodes = (start + width * (np.arange(cells)[:, None] + gauss)).ravel()
    states = solve(at_times(problem, np.concatenate([[start], nodes])), 0, *SHARP).y[1:]
    jets = [problem.field.jet(float(t), y, problem.theta, 1).first for t, y in zip(nodes, states, strict=True)]
    total = np.tile(np.eye(d), (problem.batch, 1, 1))
    for one, two in zip(jets[::2], jets[1::2], strict=True):
        assert one is not None and two is not None
        m1, m2 = one[:, :, 1 : 1 + d], two[:, :, 1 : 1 + d]
        exponent = width / 2 * (m1 + m2) - np.sqrt(3) / 12 * width**2 * _bracket(m1, m2)
        total = _exponentials(exponent) @ total
    return total


def at_times(problem: Problem, ts: Array) -> Problem:
    """The same flow at other times, looked at by no loss."""
    return problem.with_(ts=ts, running=None, loss=Linear(np.zeros((len(ts), *problem.y0.shape))))
