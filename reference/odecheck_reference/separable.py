"""y' = a g(t) h(y), and functions h whose ∫ dy / h is known both ways: nonlinear flows in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .fields.assembly import Table
from .fields.field import AnyArray
from .shaped import Function, Shaped
from .shapes import exact as number

mp: Any = mpmath
Jet = tuple[AnyArray, AnyArray, AnyArray]


class Inverse(Function, Protocol):
    """h, and P(y0, s), the y at which ∫ dy / h from y0 is s."""

    def exact(self, y: Any) -> Any: ...
    def passed(self, y0: Any, s: Any) -> Any: ...


@dataclass(frozen=True)
class Separable(Shaped):
    """y' = a g(t) h(y). theta = a."""

    h: Inverse

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u,), (a,) = y, theta
        (g, g1, g2), (h, h1, h2) = self.g.jet(t), self.h.jet(u)
        first = {(0, 0): a * g1 * h, (0, 1): a * g * h1, (0, 2): g * h}
        second = {
            (0, 0, 0): a * g2 * h,
            (0, 0, 1): a * g1 * h1,
            (0, 0, 2): g1 * h,
            (0, 1, 1): a * g * h2,
            (0, 1, 2): g * h1,
        }
        return (a * g * h,), first, second


@dataclass(frozen=True)
class Cosine:
    """h = cos² y: tan y = tan y0 + s."""

    def jet(self, x: AnyArray) -> Jet:
        return np.cos(x) ** 2, -np.sin(2 * x), -2 * np.cos(2 * x)

    def exact(self, y: Any) -> Any:
        return mp.cos(y) ** 2

    def passed(self, y0: Any, s: Any) -> Any:
        return mp.atan(mp.tan(y0) + s)


@dataclass(frozen=True)
class Logistic:
    """h = y (1 − y): y = y0 / (y0 + (1 − y0) e^−s)."""

    def jet(self, x: AnyArray) -> Jet:
        return x * (1 - x), 1 - 2 * x, -2 + 0 * x

    def exact(self, y: Any) -> Any:
        return y * (1 - y)

    def passed(self, y0: Any, s: Any) -> Any:
        return y0 / (y0 + (1 - y0) * mp.exp(-s))


@dataclass(frozen=True)
class Exponential:
    """h = e^−y: y = log(e^y0 + s)."""

    def jet(self, x: AnyArray) -> Jet:
        h = np.exp(-x)
        return h, -h, h

    def exact(self, y: Any) -> Any:
        return mp.exp(-y)

    def passed(self, y0: Any, s: Any) -> Any:
        return mp.log(mp.exp(y0) + s)


@dataclass(frozen=True)
class Squared:
    """h = y²: y = y0 / (1 − y0 s)."""

    def jet(self, x: AnyArray) -> Jet:
        return x * x, 2 * x, 2 + 0 * x

    def exact(self, y: Any) -> Any:
        return y * y

    def passed(self, y0: Any, s: Any) -> Any:
        return y0 / (1 - y0 * s)


@dataclass(frozen=True)
class Cubed:
    """h = −y³: y = y0 / √(1 + 2 y0² s)."""

    def jet(self, x: AnyArray) -> Jet:
        return -(x**3), -3 * x * x, -6 * x

    def exact(self, y: Any) -> Any:
        return -(y**3)

    def passed(self, y0: Any, s: Any) -> Any:
        return y0 / mp.sqrt(1 + 2 * y0**2 * s)


@dataclass(frozen=True)
class Root:
    """h = 2 √|y|: √y = √y0 + s."""

    def jet(self, x: AnyArray) -> Jet:
        root = np.sqrt(np.abs(x))
        with np.errstate(divide="ignore"):
            return 2 * root, np.sign(x) / root, -0.5 / root**3

    def exact(self, y: Any) -> Any:
        return 2 * mp.sqrt(y)

    def passed(self, y0: Any, s: Any) -> Any:
        return (mp.sqrt(y0) + s) ** 2


@dataclass(frozen=True)
class Kink:
    """h = 1 + k max(0, y − c), from below c: 1 + k (y − c) = e^{k (s − (c − y0))} once c is passed."""

    c: float
    k: float

    def jet(self, x: AnyArray) -> Jet:
        above = np.maximum(0, x - self.c)
        return 1 + self.k * above, self.k * (above > 0), 0 * x

    def exact(self, y: Any) -> Any:
        return 1 + number(self.k) * max(mp.mpf(0), y - number(self.c))

    def passed(self, y0: Any, s: Any) -> Any:
        c, k = number(self.c), number(self.k)
        left = s - (c - y0)
        return y0 + s if left <= 0 else c + mp.expm1(k * left) / k


@dataclass(frozen=True)
class Stairs:
    """h = 1 below c and r above it, from below c: a field that jumps where its own state says so."""

    c: float
    r: float

    def jet(self, x: AnyArray) -> Jet:
        return np.where(x > self.c, self.r, 1.0), 0 * x, 0 * x

    def exact(self, y: Any) -> Any:
        return number(self.r) if y > number(self.c) else mp.mpf(1)

    def passed(self, y0: Any, s: Any) -> Any:
        c, r = number(self.c), number(self.r)
        left = s - (c - y0)
        return y0 + s if left <= 0 else c + r * left


@dataclass(frozen=True)
class Graded:
    """1 / h = 1 + (1/r − 1) S((y − c) / w), S the logistic function: h goes from 1 to r over about w around c.

    ∫ dy / h = y + (1/r − 1) w log(1 + e^{(y − c) / w}), which halving turns round.
    """

    c: float
    w: float
    r: float

    def jet(self, x: AnyArray) -> Jet:
        m = 1 / self.r - 1
        s = 0.5 * (1 + np.tanh((x - self.c) / (2 * self.w)))
        s1 = s * (1 - s) / self.w
        s2 = s1 * (1 - 2 * s) / self.w
        h = 1 / (1 + m * s)
        return h, -m * s1 * h**2, -m * s2 * h**2 + 2 * (m * s1) ** 2 * h**3

    def exact(self, y: Any) -> Any:
        m = 1 / number(self.r) - 1
        return 1 / (1 + m / (1 + mp.exp(-(y - number(self.c)) / number(self.w))))

    def passed(self, y0: Any, s: Any) -> Any:
        m, c, w = 1 / number(self.r) - 1, number(self.c), number(self.w)

        def time(y: Any) -> Any:
            return y + m * w * mp.log1p(mp.exp((y - c) / w))

        low, high = y0, y0 + s * max(mp.mpf(1), number(self.r))
        for _ in range(230):  # halving: it cannot miss, and leaves 2^-230
            middle = (low + high) / 2
            low, high = (middle, high) if time(middle) - time(y0) < s else (low, middle)
        return (low + high) / 2
