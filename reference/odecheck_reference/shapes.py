"""Functions of one number, narrow or fast, with their derivatives and their integrals: what hard problems are made of.

∫ e^{−λ (b − x)} g(x) dx from a to b is what a damped equation driven by g ends at; it is given in mpmath
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .fields.field import AnyArray

mp: Any = mpmath
Number = float | Fraction


def exact(x: Number) -> Any:
    """A double or a fraction as an mpmath number."""
    return mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(x)


class Shape(Protocol):
    """g with its first and second derivative at x, arrays like x, and its damped integral."""

    @property
    def narrowest(self) -> float:
        """How long its narrowest part is."""
        ...

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]: ...
    def damped(self, rate: Number, start: Any, stop: Any) -> Any: ...


@dataclass(frozen=True)
class Bump:
    """g = height exp(−((x − centre) / width)²). centre: a float, or a Fraction that nobody finds as a number."""

    centre: Number
    width: float
    height: float = 1.0

    @property
    def narrowest(self) -> float:
        return 2 * self.width

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        z = (x - float(self.centre)) / self.width
        with np.errstate(under="ignore", over="ignore"):
            g = self.height * np.exp(-z * z)
        return g, -2 * z * g / self.width, (4 * z * z - 2) * g / self.width**2

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """h e^{−λ (b − c) + λ² s² / 4} s √π / 2 (erf((b − c) / s − λ s / 2) − erf((a − c) / s − λ s / 2))."""
        lam, c, s = exact(rate), mp.mpf(float(self.centre)), exact(self.width)
        lower, upper = (start - c) / s - lam * s / 2, (stop - c) / s - lam * s / 2
        if lower > 0 and upper > 0:
            between = mp.erfc(lower) - mp.erfc(upper)
        elif lower < 0 and upper < 0:
            between = mp.erfc(-upper) - mp.erfc(-lower)
        else:
            between = mp.erf(upper) - mp.erf(lower)
        scale = mp.exp(-lam * (stop - c) + lam**2 * s**2 / 4)
        return exact(self.height) * scale * s * mp.sqrt(mp.pi) / 2 * between


@dataclass(frozen=True)
class Pulse:
    """g = height for first < x < last, else 0. The ends: floats, or Fractions that nobody finds as numbers."""

    first: Number
    last: Number
    height: float = 1.0

    @property
    def narrowest(self) -> float:
        return float(self.last) - float(self.first)

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        inside = (x > float(self.first)) & (x < float(self.last))
        return np.where(inside, self.height, 0.0), np.zeros_like(x), np.zeros_like(x)

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """h (e^{−λ (b − last)} − e^{−λ (b − first)}) / λ, of the part of the pulse that lies between a and b."""
        sign = 1 if stop > start else -1
        low, high = (start, stop) if sign > 0 else (stop, start)
        first, last = max(low, mp.mpf(float(self.first))), min(high, mp.mpf(float(self.last)))
        if last <= first:
            return mp.mpf(0)
        lam = exact(rate)
        size = last - first if lam == 0 else (mp.exp(-lam * (stop - last)) - mp.exp(-lam * (stop - first))) / lam
        return sign * exact(self.height) * size


@dataclass(frozen=True)
class Wave:
    """g = height cos(frequency x + phase)."""

    frequency: float
    phase: float = 0.0
    height: float = 1.0

    @property
    def narrowest(self) -> float:
        return float(np.pi / abs(self.frequency)) if self.frequency else np.inf

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        angle, w = self.frequency * x + self.phase, self.frequency
        c, s = self.height * np.cos(angle), self.height * np.sin(angle)
        return c, -w * s, -w * w * c

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """Re (e^{iφ} (e^{iωb} − e^{−λ (b − a) + iωa}) / (λ + iω))."""
        lam, w, phase = exact(rate), exact(self.frequency), exact(self.phase)
        if w == 0 and lam == 0:
            return exact(self.height) * mp.cos(phase) * (stop - start)
        ends = mp.expj(w * stop) - mp.exp(-lam * (stop - start)) * mp.expj(w * start)
        return exact(self.height) * mp.re(mp.expj(phase) * ends / mp.mpc(lam, w))


@dataclass(frozen=True)
class Chirp:
    """g = cos(rate x²), which turns faster and faster. Undamped only."""

    rate: float

    @property
    def narrowest(self) -> float:
        return float(np.pi / (2 * self.rate))

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        c, s, w = np.cos(self.rate * x * x), np.sin(self.rate * x * x), 2 * self.rate
        return c, -w * x * s, -w * s - (w * x) ** 2 * c

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """√(π / 2w) (C(b √(2w / π)) − C(a √(2w / π))), C Fresnel's integral."""
        _undamped(rate)
        w = exact(self.rate)
        stretch = mp.sqrt(2 * w / mp.pi)
        return (mp.fresnelc(stop * stretch) - mp.fresnelc(start * stretch)) / stretch


@dataclass(frozen=True)
class Saw:
    """g = |sin(frequency x)|: smooth but for a kink in each half period. Undamped only."""

    frequency: float

    @property
    def narrowest(self) -> float:
        return float(np.pi / self.frequency)

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        w, s = self.frequency, np.sin(self.frequency * x)
        return np.abs(s), w * np.cos(w * x) * np.sign(s), -w * w * np.abs(s)

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """(2k + 1 − cos(w x − k π)) / w at b less at a, k = ⌊w x / π⌋."""
        _undamped(rate)
        w = exact(self.frequency)

        def up_to(x: Any) -> Any:
            k = mp.floor(w * x / mp.pi)
            return (2 * k + 1 - mp.cos(w * x - k * mp.pi)) / w

        return up_to(stop) - up_to(start)


@dataclass(frozen=True)
class Power:
    """g = |x − centre|^power, power > 0: not smooth at its centre. Undamped only."""

    centre: Number
    power: float

    @property
    def narrowest(self) -> float:
        return np.inf

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        z, p = x - float(self.centre), self.power
        size = np.abs(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return size**p, p * np.sign(z) * size ** (p - 1), p * (p - 1) * size ** (p - 2)

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        """sign(z) |z|^{p + 1} / (p + 1) at b less at a, z = x − centre."""
        _undamped(rate)
        c, p = exact(self.centre), exact(self.power)

        def up_to(x: Any) -> Any:
            return mp.sign(x - c) * abs(x - c) ** (p + 1) / (p + 1)

        return up_to(stop) - up_to(start)


def _undamped(rate: Number) -> None:
    if rate:
        raise ValueError("of this function only the plain integral is known: a rate of 0")


@dataclass(frozen=True)
class Sum:
    """The sum of several shapes: a comb, or one thing at each end."""

    parts: tuple[Shape, ...]

    @property
    def narrowest(self) -> float:
        return min(part.narrowest for part in self.parts)

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        jets = [part.jet(x) for part in self.parts]
        return _total([j[0] for j in jets]), _total([j[1] for j in jets]), _total([j[2] for j in jets])

    def damped(self, rate: Number, start: Any, stop: Any) -> Any:
        return sum(part.damped(rate, start, stop) for part in self.parts)


def _total(parts: Sequence[AnyArray]) -> AnyArray:
    return np.sum(np.stack(np.broadcast_arrays(*parts)), axis=0)
