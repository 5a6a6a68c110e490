"""Heavy-ball neural ODEs (HBNODE, GHBNODE; arXiv:2110.04840): h'' + gamma h' = f(t, h), generalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .assembly import Assembly, Map, OwnRate
from .coefficients import EXAMPLES as OF_TIME
from .coefficients import NONE, RATE, WEIGHT, Coefficient, Fixed, Free, Learnt
from .field import AnyArray, Jet
from .functions import ACTIVATIONS
from .gradient_flow import GradientFlow
from .linear import Linear
from .mlp import Mlp

Signs = Literal["paper", "code"]


@dataclass(frozen=True)
class HeavyBall(OwnRate):
    """h' = s(m), m' = -gamma m + f(t, h) - xi h.

    The heavy-ball ODE has s = identity and xi = Fixed(0), as here by default; the generalised one a bounded s
    and a spring xi: `GeneralisedHeavyBall`.
    signs: "paper" as above; "code" h' = s(-m), m' = -gamma m + f + xi h, which is the same system with
    m and f replaced by -m and -f (for odd s).
    theta = that of `inner`, of `gamma`, of `xi`.
    """

    inner: Map
    gamma: Coefficient = RATE
    xi: Coefficient = NONE
    activation: str = "identity"
    signs: Signs = "paper"

    def __post_init__(self) -> None:
        if self.inner.inputs != self.inner.outputs:
            raise ValueError(
                f"f(t, h) maps {self.inner.inputs} to {self.inner.outputs} numbers: both have to be the size of h"
            )
        if self.signs not in ("paper", "code"):
            raise ValueError(f"signs is {self.signs!r}; it is 'paper' or 'code'")

    @property
    def state(self) -> int:
        return 2 * self.inner.outputs

    @property
    def params(self) -> int:
        return self.inner.params + self.gamma.params + self.xi.params

    @property
    def parts(self) -> Mapping[str, slice]:
        d = self.inner.outputs
        return {"h": slice(0, d), "m": slice(d, 2 * d)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, self.state, order)
        h, m = self.parts.values()
        sign = 1 if self.signs == "paper" else -1
        self._velocity(out, h, m, sign)
        self._force(out, h, m)
        start = self.inner.params
        _spring(out, m, m, -1, self.gamma, start)
        _spring(out, m, h, -sign, self.xi, start + self.gamma.params)
        return out.jet()

    def _velocity(self, out: Assembly, h: slice, m: slice, sign: int) -> None:
        """h' = s(sign m)"""
        s = ACTIVATIONS[self.activation]
        momentum = sign * out.y[:, m]
        out.add(h, s.value(momentum))
        if out.order > 0:
            out.add_first_diagonal(h, out.of_state(m), sign * s.first(momentum))
        if out.order > 1:
            out.add_second_diagonal(h, out.of_state(m), s.second(momentum))

    def _force(self, out: Assembly, h: slice, m: slice) -> None:
        """m' = f(t, h) + ..."""
        f = self.inner.jet(out.t, out.y[:, h], out.theta[: self.inner.params], out.order)
        of_f = out.of_function(0, self.inner.params, h)
        out.add(m, f.value)
        if f.first is not None:
            out.add_first(m, of_f, f.first)
        if f.second is not None:
            out.add_second(m, of_f, of_f, f.second)


def _spring(out: Assembly, rows: slice, part: slice, sign: int, coefficient: Coefficient, start: int) -> None:
    """rows += sign c(t, theta) y[part]: derivatives c and c_p y, then c_p (mixed) and c_pq y."""
    if coefficient == NONE:
        return
    c, c_p, c_pq = coefficient.jet(out.t, out.theta[start : start + coefficient.params])
    of_c = out.of_function(start, coefficient.params)
    y = sign * out.y[:, part]
    out.add(rows, c * y)
    if out.order > 0:
        out.add_first_diagonal(rows, out.of_state(part), sign * c)
        out.add_first(rows, of_c, y[:, :, None] * c_p)
    if out.order > 1:
        out.add_mixed_rowwise(rows, out.of_state(part), of_c, sign * c_p)
        out.add_second(rows, of_c, of_c, y[:, :, None, None] * c_pq)


@dataclass(frozen=True)
class GeneralisedHeavyBall(HeavyBall):
    """h' = s(m), m' = -gamma m + f(t, h) - xi h, by default with s = tanh and a learnt xi >= 0."""

    xi: Coefficient = WEIGHT
    activation: str = "tanh"


_NET = Mlp(2, 2, (3,), time=True)
_CLOCK, _AFFINE_CLOCK = OF_TIME["of time"], OF_TIME["affine in time"]
EXAMPLES: Mapping[str, HeavyBall] = {
    "heavy ball": HeavyBall(_NET),
    "heavy ball, free damping": HeavyBall(_NET, Free()),
    "heavy ball, fixed damping": HeavyBall(_NET, Fixed(0.7)),
    "heavy ball, damping of time": HeavyBall(Mlp(2, 2, (3,)), _CLOCK),
    "heavy ball, affine damping of time": HeavyBall(_NET, _AFFINE_CLOCK),
    "heavy ball, signs of the code": HeavyBall(_NET, Learnt(scale=0.5), signs="code"),
    "heavy ball of a gradient": HeavyBall(GradientFlow(2, 3), Free()),
    "heavy ball of a linear field": HeavyBall(Linear(2), Free()),
    "generalised heavy ball": GeneralisedHeavyBall(_NET),
    "generalised, signs of the code": GeneralisedHeavyBall(_NET, Free(), Free(), "gelu", "code"),
    "generalised, fixed spring": GeneralisedHeavyBall(_NET, xi=Fixed(1.5), activation="softplus"),
    "generalised, everything of time": GeneralisedHeavyBall(_NET, _CLOCK, _AFFINE_CLOCK),
}
