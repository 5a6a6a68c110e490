"""Heavy-ball neural ODEs and their generalisation (HBNODE, GHBNODE; arXiv:2110.04840)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

from odecheck_reference import fields as exact
from torch import Tensor, nn

from .activations import ACTIVATIONS, Softplus
from .coefficients import Fixed, Free, Learnt, coefficient
from .parts import FieldError, PartedField, Parts, force
from .twins import build

Coefficient = float | nn.Module | Callable[[Tensor], Tensor]
Signs = Literal["paper", "code"]


class GHBNODE(PartedField):
    """h' = s(m), m' = -gamma m + f(t, h) - xi h.

    inner: f, a module called as inner(t, h) that keeps the shape of h.
    gamma: the damping: a number, or a module or function of time; by default sigmoid(w), from w = -3 on.
    xi: the spring that bounds h, likewise; by default softplus(w), from w = 0 on.
    activation: s, bounded and acting on each entry: nn.Tanh() by default; nn.Hardtanh(-5, 5) is common, but
        has no second derivative where abs(m) = 5.
    signs: "paper" as above; "code" h' = s(-m), m' = -gamma m + f + xi h, as in the authors' code. For odd s
        these are the same models, with m and f replaced by -m and -f.
    dim: the axis of the parts h and m.

    Warns when gamma is a number <= 0: the momentum then grows by itself.
    Raises FieldError for unknown `signs`.
    """

    def __init__(
        self,
        inner: nn.Module,
        gamma: Coefficient | None = None,
        xi: Coefficient | None = None,
        activation: nn.Module | None = None,
        signs: Signs = "paper",
        dim: int = -1,
    ) -> None:
        super().__init__(Parts({"h": None, "m": None}, dim))
        if signs not in ("paper", "code"):
            raise FieldError(f"signs is {signs!r}; it is 'paper' (h' = s(m)) or 'code' (h' = s(-m))")
        self.inner = inner
        self.gamma = coefficient(Learnt(-3.0) if gamma is None else gamma)
        self.xi = coefficient(Learnt(0.0, Softplus()) if xi is None else xi)
        self.activation = nn.Tanh() if activation is None else activation
        self.sign = 1.0 if signs == "paper" else -1.0
        _warn_if_not_damped(self.gamma)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h, m = self.parts.split(y)
        clock = t.to(y.dtype)
        dh = self.activation(self.sign * m)
        dm = force(self.inner, t, h, h) - self.gamma(clock) * m - self.sign * self.xi(clock) * h
        return self.parts.join(dh, dm)


class HBNODE(GHBNODE):
    """h' = m, m' = -gamma m + f(t, h), which is h'' + gamma h' = f(t, h).

    Arguments as for GHBNODE; signs="code" is h' = -m, m' = -gamma m + f.
    """

    def __init__(
        self,
        inner: nn.Module,
        gamma: Coefficient | None = None,
        signs: Signs = "paper",
        dim: int = -1,
    ) -> None:
        super().__init__(inner, gamma, 0.0, nn.Identity(), signs, dim)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h, m = self.parts.split(y)
        return self.parts.join(self.sign * m, force(self.inner, t, h, h) - self.gamma(t.to(y.dtype)) * m)


def _warn_if_not_damped(gamma: object) -> None:
    if isinstance(gamma, Fixed | Free) and not gamma.value.item() > 0:
        warnings.warn(
            f"the damping gamma is {gamma.value.item():g}: not positive, so the momentum is not damped "
            "and what is said of heavy-ball ODEs does not hold. Give gamma > 0, or leave it out to "
            "learn sigmoid(w)",
            stacklevel=4,
        )


@build.register
def _(field: exact.HeavyBall) -> nn.Module:
    inner, gamma = build(field.inner), build(field.gamma)
    if field.activation == "identity" and field.xi == exact.Fixed(0.0):
        return HBNODE(inner, gamma, field.signs)
    return GHBNODE(inner, gamma, build(field.xi), ACTIVATIONS[field.activation](), field.signs)
