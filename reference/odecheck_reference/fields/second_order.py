"""Second-order neural ODEs (SONODE; arXiv:2006.07220): x'' = f(t, x, x') as a first-order system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .assembly import Assembly, Map, OwnRate
from .field import AnyArray, Jet
from .mlp import Mlp


@dataclass(frozen=True)
class SecondOrder(OwnRate):
    """x' = v, v' = f(t, x, v) or f(t, x).

    inner: d numbers out; 2d in for f(t, x, v) with x first, or d in for f(t, x). theta is that of `inner`.
    Raises ValueError for other sizes.
    """

    inner: Map

    def __post_init__(self) -> None:
        if self.inner.inputs not in (self.inner.outputs, 2 * self.inner.outputs):
            d = self.inner.outputs
            raise ValueError(
                f"the acceleration takes {self.inner.inputs} numbers and gives {d}: give it {d} inputs "
                f"for f(t, x) or {2 * d} for f(t, x, v)"
            )

    @property
    def state(self) -> int:
        return 2 * self.inner.outputs

    @property
    def params(self) -> int:
        return self.inner.params

    @property
    def parts(self) -> Mapping[str, slice]:
        d = self.inner.outputs
        return {"x": slice(0, d), "v": slice(d, 2 * d)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, self.state, order)
        x, v = self.parts.values()
        seen = slice(0, self.inner.inputs)
        f = self.inner.jet(out.t, out.y[:, seen], out.theta, order)
        out.add(x, out.y[:, v])
        out.add(v, f.value)
        of_f = out.of_function(0, self.params, seen)
        if f.first is not None:
            out.add_first_diagonal(x, out.of_state(v), 1)
            out.add_first(v, of_f, f.first)
        if f.second is not None:
            out.add_second(v, of_f, of_f, f.second)
        return out.jet()


EXAMPLES: Mapping[str, SecondOrder] = {
    "second order in x": SecondOrder(Mlp(2, 2, (3,), time=True)),
    "second order in x and v": SecondOrder(Mlp(4, 2, (3,), "softplus", time=True)),
}
