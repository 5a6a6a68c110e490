"""Classical vector fields, each derivative written out. z = (t, y, theta) is numbered from t = 0."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .assembly import OwnRate, Table, from_table
from .field import AnyArray, Jet
from .functions import cos, exp, sin


@dataclass(frozen=True)
class Classical(OwnRate, ABC):
    """A field of fixed size: the state is one part, `names` are the components of theta."""

    size: ClassVar[int]
    names: ClassVar[tuple[str, ...]]

    @property
    def state(self) -> int:
        return self.size

    @property
    def params(self) -> int:
        return len(self.names)

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state)}

    @abstractmethod
    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        """Value, first and second derivatives, see `from_table`."""

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        return from_table(t, y, theta, order, self.table)


@dataclass(frozen=True)
class Logistic(Classical):
    """y' = r y (1 - y / K). theta = r, K."""

    size: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("r", "K")

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u,), (r, k) = y, theta
        uu = u * u
        first = {(0, 1): r - 2 * r * u / k, (0, 2): u - uu / k, (0, 3): r * uu / k**2}
        second = {
            (0, 1, 1): -2 * r / k,
            (0, 1, 2): 1 - 2 * u / k,
            (0, 1, 3): 2 * r * u / k**2,
            (0, 2, 3): uu / k**2,
            (0, 3, 3): -2 * r * uu / k**3,
        }
        return (r * u * (1 - u / k),), first, second

    def solution(self, t: Any, y0: AnyArray, theta: AnyArray) -> AnyArray:
        """y(t) = K / (1 + (K / y0 - 1) e^(-r t)) for y(0) = y0: (batch, 1).

        Holds as long as the denominator stays positive: y0 <= K forwards in time.
        """
        r, k = theta
        return k / (1 + (k / y0 - 1) * exp(np.asarray(-r * t)))


@dataclass(frozen=True)
class LotkaVolterra(Classical):
    """x' = alpha x - beta x y, y' = delta x y - gamma y. theta = alpha, beta, gamma, delta."""

    size: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (prey, hunter), (alpha, beta, gamma, delta) = y, theta
        met = prey * hunter
        value = (alpha * prey - beta * met, delta * met - gamma * hunter)
        first = {
            (0, 1): alpha - beta * hunter,
            (0, 2): -beta * prey,
            (0, 3): prey,
            (0, 4): -met,
            (1, 1): delta * hunter,
            (1, 2): delta * prey - gamma,
            (1, 5): -hunter,
            (1, 6): met,
        }
        second = {
            (0, 1, 2): -beta,
            (0, 1, 3): 1,
            (0, 1, 4): -hunter,
            (0, 2, 4): -prey,
            (1, 1, 2): delta,
            (1, 1, 6): hunter,
            (1, 2, 5): -1,
            (1, 2, 6): prey,
        }
        return value, first, second


@dataclass(frozen=True)
class VanDerPol(Classical):
    """x' = v, v' = mu (1 - x^2) v - x. theta = mu."""

    size: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("mu",)

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (x, v), (mu,) = y, theta
        pump = 1 - x * x
        first = {(0, 2): 1, (1, 1): -2 * mu * x * v - 1, (1, 2): mu * pump, (1, 3): pump * v}
        second = {(1, 1, 1): -2 * mu * v, (1, 1, 2): -2 * mu * x, (1, 1, 3): -2 * x * v, (1, 2, 3): pump}
        return (v, mu * pump * v - x), first, second


@dataclass(frozen=True)
class Pendulum(Classical):
    """Damped and forced in time: q' = p, p' = -k sin q - c p + a cos(w t). theta = k, c, a, w."""

    size: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("k", "c", "a", "w")

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (q, p), (k, c, a, w) = y, theta
        s, co = sin(q), cos(q)
        beat_s, beat_c = sin(np.asarray(w * t))[()], cos(np.asarray(w * t))[()]
        first = {
            (0, 2): 1,
            (1, 0): -a * w * beat_s,
            (1, 1): -k * co,
            (1, 2): -c,
            (1, 3): -s,
            (1, 4): -p,
            (1, 5): beat_c,
            (1, 6): -a * t * beat_s,
        }
        second = {
            (1, 0, 0): -a * w * w * beat_c,
            (1, 0, 5): -w * beat_s,
            (1, 0, 6): -a * (beat_s + w * t * beat_c),
            (1, 1, 1): k * s,
            (1, 1, 3): -co,
            (1, 2, 4): -1,
            (1, 5, 6): -t * beat_s,
            (1, 6, 6): -a * t * t * beat_c,
        }
        return (p, -k * s - c * p + a * beat_c), first, second


@dataclass(frozen=True)
class Lorenz(Classical):
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z. theta = sigma, rho, beta."""

    size: ClassVar[int] = 3
    names: ClassVar[tuple[str, ...]] = ("sigma", "rho", "beta")

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u, v, w), (sigma, rho, beta) = y, theta
        value = (sigma * (v - u), u * (rho - w) - v, u * v - beta * w)
        first = {
            (0, 1): -sigma,
            (0, 2): sigma,
            (0, 4): v - u,
            (1, 1): rho - w,
            (1, 2): -1,
            (1, 3): -u,
            (1, 5): u,
            (2, 1): v,
            (2, 2): u,
            (2, 3): -beta,
            (2, 6): -w,
        }
        second = {
            (0, 1, 4): -1,
            (0, 2, 4): 1,
            (1, 1, 3): -1,
            (1, 1, 5): 1,
            (2, 1, 2): 1,
            (2, 3, 6): -1,
        }
        return value, first, second


EXAMPLES: Mapping[str, Classical] = {
    "logistic": Logistic(),
    "lotka-volterra": LotkaVolterra(),
    "van der pol": VanDerPol(),
    "pendulum": Pendulum(),
    "lorenz": Lorenz(),
}
