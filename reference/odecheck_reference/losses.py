"""Losses of the observed states and running costs, with hand-derived first and second derivatives.

Every loss is a sum over observations and rows, so its second derivative is one (state, state) block for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .bounded import Array
from .fields import functions as fn
from .fields.field import AnyArray

Shape = tuple[int, int, int]
CostJet = tuple[AnyArray, AnyArray | None, AnyArray | None]


def _expect(what: str, seen: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if seen != wanted:
        raise ValueError(f"{what} has shape {seen}, but the observed states have {wanted}: (times, batch, state)")


class Loss(Protocol):
    """Φ(y(ts)). All three derivatives are taken at y: (times, batch, state)."""

    def value(self, y: AnyArray) -> Any:
        """Φ, a scalar."""
        ...

    def gradient(self, y: AnyArray) -> AnyArray:
        """Φ_y: (times, batch, state)."""
        ...

    def hessian(self, y: AnyArray) -> AnyArray:
        """The blocks of Φ_yy: (times, batch, state, state); between times or rows it is zero."""
        ...

    def tail(self, first: int) -> Loss:
        """The same loss of the observations from index `first` on."""
        ...

    def check(self, shape: Shape) -> None:
        """Refuse states that the loss does not fit.

        Args:
            shape: of the observed states, (times, batch, state).

        Raises:
            ValueError: it does not.
        """
        ...


@dataclass(frozen=True, eq=False)
class Linear:
    """Φ = Σ w y.

    Attributes:
        weight: w, (times, batch, state); zero where nothing is observed.
    """

    weight: Array

    def check(self, shape: Shape) -> None:
        """Raise ValueError when the loss does not fit states of this shape."""
        _expect("weight", np.shape(self.weight), shape)

    def tail(self, first: int) -> Linear:
        """The same loss of the observations from index `first` on."""
        return Linear(self.weight[first:])

    def value(self, y: AnyArray) -> Any:
        """Φ, a scalar."""
        return np.sum(self.weight * y)

    def gradient(self, y: AnyArray) -> AnyArray:
        """Φ_y: (times, batch, state)."""
        return self.weight + 0 * y

    def hessian(self, y: AnyArray) -> AnyArray:
        """The blocks of Φ_yy: (times, batch, state, state)."""
        return np.zeros((*y.shape, y.shape[-1])) + 0 * y[..., None]


@dataclass(frozen=True, eq=False)
class SquaredError:
    """Φ = ½ Σ w (y − target)².

    Attributes:
        weight: w ≥ 0, (times, batch, state); zero where nothing is observed.
        target: (times, batch, state), in the units of y.
    """

    weight: Array
    target: Array

    def check(self, shape: Shape) -> None:
        """Raise ValueError when the loss does not fit states of this shape."""
        _expect("weight", np.shape(self.weight), shape)
        _expect("target", np.shape(self.target), shape)

    def tail(self, first: int) -> SquaredError:
        """The same loss of the observations from index `first` on."""
        return SquaredError(self.weight[first:], self.target[first:])

    def value(self, y: AnyArray) -> Any:
        """Φ, a scalar."""
        return np.sum(self.weight * (y - self.target) ** 2) / 2

    def gradient(self, y: AnyArray) -> AnyArray:
        """Φ_y: (times, batch, state)."""
        return self.weight * (y - self.target)

    def hessian(self, y: AnyArray) -> AnyArray:
        """The blocks of Φ_yy: (times, batch, state, state)."""
        return (self.weight + 0 * y)[..., None] * np.eye(y.shape[-1])


@dataclass(frozen=True, eq=False)
class LogCosh:
    """Φ = Σ w log cosh(y − target), with Φ' = w tanh and Φ'' = w (1 − tanh²).

    Attributes:
        weight: w ≥ 0, (times, batch, state); zero where nothing is observed.
        target: (times, batch, state), in the units of y.
    """

    weight: Array
    target: Array

    def check(self, shape: Shape) -> None:
        """Raise ValueError when the loss does not fit states of this shape."""
        _expect("weight", np.shape(self.weight), shape)
        _expect("target", np.shape(self.target), shape)

    def tail(self, first: int) -> LogCosh:
        """The same loss of the observations from index `first` on."""
        return LogCosh(self.weight[first:], self.target[first:])

    def value(self, y: AnyArray) -> Any:
        """Φ, a scalar."""
        r = y - self.target
        # −½ log(1 − tanh² r) keeps the digits of a small r, softplus(2r) − r − log 2 does not overflow
        small = fn.positive(1 - r * r)
        inner = -fn.log1p(-(fn.tanh(np.where(small, r, 0 * r)) ** 2)) / 2
        return np.sum(self.weight * np.where(small, inner, fn.softplus(2 * r) - r - fn.softplus(0 * r)))

    def gradient(self, y: AnyArray) -> AnyArray:
        """Φ_y: (times, batch, state)."""
        return self.weight * fn.tanh(y - self.target)

    def hessian(self, y: AnyArray) -> AnyArray:
        """The blocks of Φ_yy: (times, batch, state, state)."""
        r = y - self.target
        curvature = 4 * self.weight * fn.sigmoid(2 * r) * fn.sigmoid(-2 * r)  # 1 − tanh² without its cancellation
        return curvature[..., None] * np.eye(y.shape[-1])


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Softmax cross-entropy of the states as logits: Φ = Σ w (log Σ_j e^{y_j} − y_label).

    With p = softmax(y): Φ' = w (p − e_label), Φ'' = w (diag p − p pᵀ).

    Attributes:
        weight: w ≥ 0, (times, batch); zero where nothing is observed.
        label: (times, batch), the index of the right state.
    """

    weight: Array
    label: Any

    def check(self, shape: Shape) -> None:
        """Raise ValueError when the loss does not fit states of this shape."""
        _expect("weight", np.shape(self.weight), shape[:2])  # type: ignore[arg-type]
        _expect("label", np.shape(self.label), shape[:2])  # type: ignore[arg-type]
        if np.min(self.label) < 0 or np.max(self.label) >= shape[2]:
            raise ValueError(f"labels go from {np.min(self.label)} to {np.max(self.label)}, the states are {shape[2]}")

    def tail(self, first: int) -> CrossEntropy:
        """The same loss of the observations from index `first` on."""
        return CrossEntropy(self.weight[first:], np.asarray(self.label)[first:])

    def _softmax(self, y: AnyArray) -> AnyArray:
        e = fn.exp(y - np.max(np.real(y), axis=-1, keepdims=True) if y.dtype != object else y)
        return e / np.sum(e, axis=-1, keepdims=True)

    def _right(self, y: AnyArray) -> Array:
        return np.eye(y.shape[-1])[np.asarray(self.label)]

    # No difference p − 1 of a probability near 1 is ever formed: such entries come from the sum of all others.

    def value(self, y: AnyArray) -> Any:
        """Φ, a scalar."""
        z = y - np.take_along_axis(y, np.asarray(self.label)[..., None], axis=-1)
        first = np.argmax(np.real(z), axis=-1)[..., None]
        top = np.take_along_axis(z, first, axis=-1)
        others = fn.exp(z - top)
        np.put_along_axis(others, first, 0 * top, axis=-1)
        return np.sum(self.weight * (top[..., 0] + fn.log1p(np.sum(others, axis=-1))))

    def gradient(self, y: AnyArray) -> AnyArray:
        """Φ_y: (times, batch, state)."""
        right = self._right(y)
        wrong = self._softmax(y) * (1 - right)
        return self.weight[..., None] * (wrong - right * np.sum(wrong, axis=-1, keepdims=True))

    def hessian(self, y: AnyArray) -> AnyArray:
        """The blocks of Φ_yy: (times, batch, state, state)."""
        p, one = self._softmax(y), np.eye(y.shape[-1])
        beside = p[..., None] * p[..., None, :] * (1 - one)
        block = one * np.sum(beside, axis=-1, keepdims=True) - beside
        return self.weight[..., None, None] * block


class RunningCost(Protocol):
    """ℓ(t, y, theta) of one row; the integral term is Σ_rows ∫ ℓ dt. Derivatives are taken in z = (t, y, theta)."""

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> CostJet:
        """The cost of every row with its derivatives.

        Args:
            t: a number.
            y: (batch, state).
            theta: (params,).
            order: 0, 1 or 2: the highest derivative wanted.

        Returns:
            Value (batch,), first (batch, N) and second (batch, N, N), with N = 1 + state + params; None where not
            wanted.
        """
        ...


@dataclass(frozen=True)
class QuadraticCost:
    """ℓ = ½ state_weight |y|² + ½ theta_weight |theta|² + time_weight t y_0.

    One term for each kind of derivative: pure state, pure parameter and mixed with time.

    Attributes:
        state_weight: of |y|².
        theta_weight: of |theta|².
        time_weight: of t y_0.
    """

    state_weight: float = 1.0
    theta_weight: float = 0.1
    time_weight: float = 0.5

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> CostJet:
        """As `RunningCost.jet`."""
        batch, d = y.shape
        a, b, c = self.state_weight, self.theta_weight, self.time_weight
        t = t[:, 0] if np.ndim(t) else t
        value = a * np.sum(y * y, axis=1) / 2 + b * np.sum(theta * theta) / 2 + c * t * y[:, 0]
        if order == 0:
            return value, None, None
        size = 1 + d + len(theta)
        first = np.zeros((batch, size), dtype=np.result_type(np.asarray(t), y, theta))
        first[:, 0] = c * y[:, 0]
        first[:, 1 : 1 + d] = a * y
        first[:, 1] += c * t
        first[:, 1 + d :] = b * theta
        if order == 1:
            return value, first, None
        second = np.zeros((batch, size, size))
        diagonal = np.r_[0.0, np.full(d, a), np.full(len(theta), b)]
        second[:, np.arange(size), np.arange(size)] = diagonal
        second[:, 0, 1] = second[:, 1, 0] = c
        return value, first, second
