"""Second derivatives of a problem of any size along a direction, with error bars.

The slope L̇ of a loss along a direction (v, u) in (y0, theta) is a loss of the lifted system (y, ẏ), and its first
derivatives are the Hessian times (v, u): `first_order` follows them, and looks at them, as any others. The Gauss–Newton
product Xᵀ Φ_yy X (v, u), X = ∂y(ts)/∂(y0, theta), is the gradient of the linear loss ⟨Φ_yy ẏ, y⟩.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bounded import Array, Bounded
from .fields.field import AnyArray
from .fields.pulled import pull
from .first_order import FirstOrder, first_order
from .flow import solution
from .lifted import Lifted
from .losses import Linear, Loss
from .problem import Problem
from .sensitivity import with_cost_as_state

# second derivatives are compared to five digits: of their truth so many are wanted
RTOL = 1e-9
# how much larger an error of a cotangent may come out of its adjoint, in units of the largest component
PASSED_ON = 100


@dataclass(frozen=True, eq=False)
class _Slope:
    """L̇ = Φ_y ẏ, as a loss of (y, ẏ) side by side."""

    loss: Loss

    def check(self, shape: tuple[int, int, int]) -> None:
        self.loss.check((shape[0], shape[1], shape[2] // 2))

    def value(self, y: AnyArray) -> float:
        d = y.shape[-1] // 2
        return float(np.sum(self.loss.gradient(y[..., :d]) * y[..., d:]))

    def gradient(self, y: AnyArray) -> AnyArray:
        d = y.shape[-1] // 2
        bend = np.einsum("tbij,tbj->tbi", self.loss.hessian(y[..., :d]), y[..., d:])
        return np.concatenate([bend, self.loss.gradient(y[..., :d])], axis=-1)

    def hessian(self, y: AnyArray) -> AnyArray:
        raise NotImplementedError("a slope has its first derivatives here, and no more")

    def tail(self, first: int) -> _Slope:
        return _Slope(self.loss.tail(first))


def _lifted(problem: Problem, v: Array, u: Array) -> Problem:
    extended = with_cost_as_state(problem)
    wide = np.zeros_like(extended.y0)
    wide[:, : problem.field.state] = v
    return extended.with_(
        name=f"{problem.name} along a direction",
        field=Lifted(extended.field, u),
        y0=np.concatenate([extended.y0, wide], axis=1),
        loss=_Slope(extended.loss),
    )


def hessian_product(problem: Problem, v: Array, u: Array) -> Bounded:
    """The Hessian of L in (y0, theta) times a direction.

    Args:
        problem: what is asked about.
        v: the direction's part in y0, (batch, state).
        u: its part in theta, (params,).

    Returns:
        (batch · state + params,), y0 first, with its bars.

    Raises:
        FlowError: as `first_order`.
    """
    return _flat(problem, first_order(_lifted(problem, v, u), RTOL))


def gauss_newton_product(problem: Problem, v: Array, u: Array) -> Bounded:
    """The Gauss–Newton matrix of L in (y0, theta) times a direction, of a loss without an integral term.

    Args:
        problem: what is asked about.
        v: as for `hessian_product`.
        u: likewise.

    Returns:
        As `hessian_product`.

    Raises:
        FlowError: as `first_order`.
    """
    both, d = solution(_lifted(problem, v, u)), problem.field.state
    bend = np.einsum("tbij,tbj->tbi", problem.loss.hessian(both.value[..., :d]), both.value[..., d:])
    return _pulled_back(problem, bend, both)


def _pulled_back(problem: Problem, cotangent: Array, known: Bounded) -> Bounded:
    """The gradient of ⟨cotangent, y(ts)⟩, where the cotangent was made of what is known up to its bar."""
    found = _flat(problem, first_order(problem.with_(loss=Linear(cotangent), running=None), RTOL))
    return _passed_on(found, known)


def _passed_on(found: Bounded, known: Bounded) -> Bounded:
    relative = float(np.max(known.radius) / (np.max(np.abs(known.value)) or 1.0))
    own = PASSED_ON * relative * float(np.max(np.abs(found.value), initial=0.0))
    return Bounded(found.value, {**found.budget, "cotangent": own}, looked_at=found.looked_at)


def _flat(problem: Problem, found: FirstOrder) -> Bounded:
    """dL/dy0 and dL/dtheta, one after the other; of a lifted or extended state the part that is the problem's own."""
    d = problem.field.state
    value = np.concatenate([found.y0.value[:, :d].ravel(), found.theta.value])
    radius = np.concatenate([found.y0.radius[:, :d].ravel(), found.theta.radius])
    return Bounded(value, {"adjoint": radius}, looked_at=found.y0.looked_at)


def horizon(problem: Problem) -> Bounded:
    """The derivatives of L in its last time T: [Q_T, Q_TT, Q_Ttheta], (2 + params,).

    Q_T = Φ_yᵀF, Q_TT = FᵀΦ_yyF + Φ_yᵀ(F_yF + F_t), Q_Ttheta = (Φ_yyF + F_yᵀΦ_y)ᵀ y_theta + F_thetaᵀ Φ_y; an integral
    term is one more state.

    Args:
        problem: what is asked about.

    Returns:
        With its bars.

    Raises:
        FlowError: as `first_order`.
    """
    extended = with_cost_as_state(problem)
    states = solution(extended)
    slopes, bends = extended.loss.gradient(states.value), extended.loss.hessian(states.value)
    end = pull(extended.field, float(extended.ts[-1]), states.value[-1], extended.theta, slopes[-1])
    bend = np.einsum("bij,bj->bi", bends[-1], end.value)
    cotangent = np.zeros(extended.observations)
    cotangent[-1] = bend + end.y
    pulled = first_order(extended.with_(loss=Linear(cotangent)), RTOL)
    first = float(np.sum(slopes[-1] * end.value))
    second = float(np.sum(end.value * bend) + np.sum(end.y * end.value) + np.sum(end.t))
    value = np.concatenate([[first, second], pulled.theta.value + end.theta])
    radius = np.concatenate([np.zeros(2), pulled.theta.radius])
    sizes = [np.abs(slopes[-1] * end.value).sum(), np.abs(end.value * bend).sum() + np.abs(end.y * end.value).sum()]
    whole = max(np.abs(pulled.theta.value).max(initial=0.0), np.abs(end.theta).max(initial=0.0))
    relative = PASSED_ON * float(np.max(states.radius) / (np.max(np.abs(states.value)) or 1.0))
    own = relative * np.concatenate([sizes, np.full(len(value) - 2, whole)])
    return Bounded(value, {"adjoint": radius, "states": own}, looked_at=pulled.theta.looked_at)
