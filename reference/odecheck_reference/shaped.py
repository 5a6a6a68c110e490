"""Vector fields made of one narrow or fast function g, with everything known about their flows.

They are what hard problems are made of, and no fields of the library: a pulse has no derivatives to compare, and nobody
trains them. g is a value with `jet(x)` → g, g', g'', as in `odecheck_reference.shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .fields.assembly import OwnRate, Table, from_table
from .fields.field import AnyArray, Jet


class Function(Protocol):
    """A function of one number with two derivatives."""

    def jet(self, x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]: ...


@dataclass(frozen=True)
class Shaped(OwnRate):
    """One function g; the state is one part."""

    g: Function

    @property
    def state(self) -> int:
        return 1

    @property
    def params(self) -> int:
        return 1

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state)}

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        raise NotImplementedError("a field has a table of its derivatives")

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        return from_table(t, y, theta, order, self.table)


@dataclass(frozen=True)
class Driven(Shaped):
    """y' = −rate y + a g(t). theta = a."""

    rate: float = 0.0

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u,), (a,) = y, theta
        g, slope, bend = self.g.jet(t)
        first = {(0, 0): a * slope, (0, 1): -self.rate, (0, 2): g}
        return (a * g - self.rate * u,), first, {(0, 0, 0): a * bend, (0, 0, 2): slope}


@dataclass(frozen=True)
class Modulated(Shaped):
    """y' = a g(t) y. theta = a. With y = 0 all that g does is in F_y."""

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u,), (a,) = y, theta
        g, slope, bend = self.g.jet(t)
        first = {(0, 0): a * slope * u, (0, 1): a * g, (0, 2): g * u}
        second = {(0, 0, 0): a * bend * u, (0, 0, 1): a * slope, (0, 0, 2): slope * u, (0, 1, 2): g}
        return (a * g * u,), first, second


@dataclass(frozen=True)
class Passed(Shaped):
    """x' = 1, z' = −rate z + a g(x): what drives z lies at a place and not at a time. theta = a."""

    rate: float = 0.0

    @property
    def state(self) -> int:
        return 2

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (x, z), (a,) = y, theta
        g, slope, bend = self.g.jet(x)
        first = {(1, 1): a * slope, (1, 2): -self.rate, (1, 3): g}
        return (1 + 0 * x, a * g - self.rate * z), first, {(1, 1, 1): a * bend, (1, 1, 3): slope}


@dataclass(frozen=True)
class Slowed(Shaped):
    """y' = 1 + a g(y). theta = a."""

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (u,), (a,) = y, theta
        g, slope, bend = self.g.jet(u)
        return (1 + a * g,), {(0, 1): a * slope, (0, 2): g}, {(0, 1, 1): a * bend, (0, 1, 2): slope}


@dataclass(frozen=True)
class Square(OwnRate):
    """y' = a y², which ends at a pole: y(t) = y0 / (1 − a y0 (t − t0)). theta = a."""

    @property
    def state(self) -> int:
        return 1

    @property
    def params(self) -> int:
        return 1

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, 1)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        return from_table(t, y, theta, order, _square)


def _square(t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
    (u,), (a,) = y, theta
    return (a * u * u,), {(0, 1): 2 * a * u, (0, 2): u * u}, {(0, 1, 1): 2 * a, (0, 1, 2): 2 * u}


@dataclass(frozen=True)
class Mixed(Shaped):
    """y' = −R y + a v g(t): one function drives all components, which drive each other. theta = a."""

    matrix: tuple[tuple[float, ...], ...]
    push: tuple[float, ...]

    @property
    def state(self) -> int:
        return len(self.push)

    def table(self, t: Any, y: tuple[Any, ...], theta: tuple[Any, ...]) -> Table:
        (a,), d = theta, range(self.state)
        g, slope, bend = self.g.jet(t)
        value = tuple(a * self.push[i] * g - sum(self.matrix[i][j] * y[j] for j in d) for i in d)
        first = {(i, 1 + j): -self.matrix[i][j] for i in d for j in d}
        first |= {(i, 0): a * self.push[i] * slope for i in d}
        first |= {(i, 1 + self.state): self.push[i] * g for i in d}
        second = {(i, 0, 0): a * self.push[i] * bend for i in d}
        return value, first, second | {(i, 0, 1 + self.state): self.push[i] * slope for i in d}
