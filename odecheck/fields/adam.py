"""AdamNODE (arXiv:2207.06066): momentum divided by the root of a running mean of squares."""

from __future__ import annotations

from typing import Literal

import torch
from odecheck_reference import fields as exact
from torch import Tensor, nn

from .activations import Softplus
from .coefficients import Learnt, coefficient
from .heavy_ball import Coefficient
from .parts import FieldError, PartedField, Parts, force
from .twins import build

Denominator = Literal["paper", "code"]


class AdamNODE(PartedField):
    """h' = -m / D(v), m' = alpha1 (-f(t, h) - m), v' = alpha2 (f(t, h)^2 - v), on each entry.

    inner: f, a module called as inner(t, h) that keeps the shape of h.
    alpha1, alpha2: rates, each a number, or a module or function of time; by default sigmoid(w), learnt from
        w = -5 and w = 5 on, as in the authors' code.
    denominator: "paper" D = sqrt(v + epsilon); "code" D = sqrt(softplus(v)) + epsilon, also for v < 0.
    epsilon: > 0. dim: the axis of the parts h, m and v.

    The exact v never turns negative, but a trial step of a solver may, above all an adjoint's on its way back to
    v(0) = 0. Below -epsilon the paper's root is NaN, of which torchdiffeq says "underflow in dt": ask for a smaller
    tolerance, give v(0) > 0, or take denominator="code".

    Raises FieldError for epsilon <= 0, an unknown denominator, and, in `start`, a negative v.
    """

    def __init__(
        self,
        inner: nn.Module,
        alpha1: Coefficient | None = None,
        alpha2: Coefficient | None = None,
        epsilon: float = 1e-3,
        denominator: Denominator = "paper",
        dim: int = -1,
    ) -> None:
        super().__init__(Parts({"h": None, "m": None, "v": None}, dim))
        if not epsilon > 0:
            raise FieldError(
                f"epsilon is {epsilon}: it keeps the denominator away from zero where v = 0; give epsilon > 0"
            )
        if denominator not in ("paper", "code"):
            raise FieldError(
                f"denominator is {denominator!r}; it is 'paper' (sqrt(v + epsilon)) or "
                "'code' (sqrt(softplus(v)) + epsilon)"
            )
        self.inner = inner
        self.alpha1 = coefficient(Learnt(-5.0) if alpha1 is None else alpha1)
        self.alpha2 = coefficient(Learnt(5.0) if alpha2 is None else alpha2)
        self.epsilon = float(epsilon)
        self.denominator = denominator
        self.softplus = Softplus()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        h, m, v = self.parts.split(y)
        f = force(self.inner, t, h, h)
        if self.denominator == "paper":
            scale = torch.sqrt(v + self.epsilon)
        else:
            scale = torch.sqrt(self.softplus(v)) + self.epsilon
        clock = t.to(y.dtype)
        return self.parts.join(-m / scale, self.alpha1(clock) * (-f - m), self.alpha2(clock) * (f.square() - v))

    def start(self, first: Tensor, **others: Tensor) -> Tensor:
        """The initial state; m and v are zero unless given. Raises FieldError when v(0) < 0 somewhere."""
        v = others.get("v")
        if v is not None and bool((v < 0).any()):
            raise FieldError(
                f"v(0) has {int((v < 0).sum())} negative entries, the smallest {v.min().item():g}: v is a "
                "mean of squares and has a root taken. Give v(0) >= 0, for example v.square() or softplus(v)"
            )
        return super().start(first, **others)


@build.register
def _(field: exact.Adam) -> nn.Module:
    return AdamNODE(build(field.inner), build(field.alpha1), build(field.alpha2), field.epsilon, field.denominator)
