"""AdamNODE (arXiv:2207.06066): the continuous limit of the Adam optimiser as a vector field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .assembly import Assembly, Map, OwnRate, Pieces
from .coefficients import EXAMPLES as OF_TIME
from .coefficients import RATE, Coefficient, Fixed, Free
from .field import AnyArray, Jet
from .functions import sigmoid, softplus, sqrt
from .mlp import Mlp

Denominator = Literal["paper", "code"]


@dataclass(frozen=True)
class Adam(OwnRate):
    """h' = -m / D(v), m' = alpha1 (-f(t, h) - m), v' = alpha2 (f(t, h)^2 - v), elementwise.

    denominator: "paper" D = sqrt(v + epsilon); "code" D = sqrt(softplus(v)) + epsilon.
    theta = that of `inner`, of `alpha1`, of `alpha2`.
    """

    inner: Map
    alpha1: Coefficient = RATE
    alpha2: Coefficient = RATE
    epsilon: float = 1e-3
    denominator: Denominator = "paper"

    def __post_init__(self) -> None:
        if self.inner.inputs != self.inner.outputs:
            raise ValueError(
                f"f(t, h) maps {self.inner.inputs} to {self.inner.outputs} numbers: both have to be the size of h"
            )
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is {self.epsilon}: it keeps the denominator away from zero, give epsilon > 0")
        if self.denominator not in ("paper", "code"):
            raise ValueError(f"denominator is {self.denominator!r}; it is 'paper' or 'code'")

    @property
    def state(self) -> int:
        return 3 * self.inner.outputs

    @property
    def params(self) -> int:
        return self.inner.params + self.alpha1.params + self.alpha2.params

    @property
    def parts(self) -> Mapping[str, slice]:
        d = self.inner.outputs
        return {"h": slice(0, d), "m": slice(d, 2 * d), "v": slice(2 * d, 3 * d)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, self.state, order)
        h, m, v = self.parts.values()
        self._velocity(out, h, m, v)
        n = self.inner.params
        f = self.inner.jet(out.t, out.y[:, h], out.theta[:n], order)
        of_f = out.of_function(0, n, h)
        rate = self.alpha1.jet(out.t, out.theta[n : n + self.alpha1.params])
        square = self.alpha2.jet(out.t, out.theta[n + self.alpha1.params :])
        of_rate = out.of_function(n, self.alpha1.params)
        of_square = out.of_function(n + self.alpha1.params, self.alpha2.params)
        minus_f = Jet(-f.value, _times(-1, f.first), _times(-1, f.second))
        _filter(out, m, minus_f, of_f, rate, of_rate)
        _filter(out, v, _squared(f), of_f, square, of_square)
        return out.jet()

    def _velocity(self, out: Assembly, h: slice, m: slice, v: slice) -> None:
        """h' = -m R(v) with R = 1/D: -R, -m R', -R', -m R''."""
        momentum = out.y[:, m]
        r, slope, bend = self._reciprocal(out.y[:, v])
        of_m, of_v = out.of_state(m), out.of_state(v)
        out.add(h, -momentum * r)
        if out.order > 0:
            out.add_first_diagonal(h, of_m, -r)
            out.add_first_diagonal(h, of_v, -momentum * slope)
        if out.order > 1:
            out.add_mixed_diagonal(h, of_m, of_v, -slope)
            out.add_second_diagonal(h, of_v, -momentum * bend)

    def _reciprocal(self, v: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        """R = 1 / D(v) with its first and second derivative in v."""
        if self.denominator == "paper":
            r = 1 / sqrt(v + self.epsilon)
            return r, -(r**3) / 2, 3 * r**5 / 4
        root = sqrt(softplus(v))
        p = sigmoid(v)
        # D = root + epsilon, D' = p / (2 root), D'' = p (1 - p) / (2 root) - p^2 / (4 root^3)
        slope = p / (2 * root)
        bend = p * sigmoid(-v) / (2 * root) - p * p / (4 * root**3)
        r = 1 / (root + self.epsilon)
        return r, -slope * r * r, 2 * slope * slope * r**3 - bend * r * r


def _times(factor: int, block: AnyArray | None) -> AnyArray | None:
    return None if block is None else factor * block


def _squared(f: Jet) -> Jet:
    """f^2, elementwise: 2 f f_p and 2 (f_p f_q + f f_pq)."""
    value = f.value
    first = None if f.first is None else 2 * value[:, :, None] * f.first
    if f.first is None or f.second is None:
        return Jet(value * value, first)
    outer = f.first[:, :, :, None] * f.first[:, :, None, :]
    return Jet(value * value, first, 2 * (outer + value[:, :, None, None] * f.second))


def _filter(
    out: Assembly,
    rows: slice,
    source: Jet,
    of_source: Pieces,
    rate: tuple[Any, AnyArray, AnyArray],
    of_rate: Pieces,
) -> None:
    """u' = c (source - u) for the part u at `rows`: an exponential filter with a rate c(t, theta)."""
    c, c_p, c_pq = rate
    gap = source.value - out.y[:, rows]
    of_u = out.of_state(rows)
    out.add(rows, c * gap)
    if source.first is not None:
        out.add_first(rows, of_source, c * source.first)
        out.add_first_diagonal(rows, of_u, -c)
        out.add_first(rows, of_rate, gap[:, :, None] * c_p)
    if source.first is not None and source.second is not None:
        out.add_second(rows, of_source, of_source, c * source.second)
        out.add_mixed(rows, of_rate, of_source, c_p[:, None] * source.first[:, :, None, :])
        out.add_mixed_rowwise(rows, of_u, of_rate, -c_p)
        out.add_second(rows, of_rate, of_rate, gap[:, :, None, None] * c_pq)


_NET = Mlp(2, 2, (3,), time=True)
EXAMPLES: Mapping[str, Adam] = {
    "adam": Adam(_NET),
    "adam, denominator of the code": Adam(_NET, denominator="code"),
    "adam, free rates": Adam(_NET, Free(), Free(), epsilon=0.1),
    "adam, fixed rates": Adam(_NET, Fixed(0.3), Fixed(0.9)),
    "adam, rates of time": Adam(_NET, OF_TIME["of time"], OF_TIME["affine in time"]),
}
