"""Deliberately wrong models: the mistakes that are made in heavy-ball and Adam neural ODEs.

Each changes the parts of a right field's value, or, where the value is right, only its derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.errors import NotApplicable
from odecheck.fields import GHBNODE, AdamNODE

from .base import TransposedJacobian, wrong_field


def _heavy_ball(
    name: str, change: Callable[[GHBNODE, Tensor, Tensor, Tensor], tuple[Tensor | float, Tensor | float]]
) -> Mutant:
    """change(field, t, h, m): what is added to h' and m'."""

    def wrong(field: nn.Module, t: Tensor, y: Tensor) -> Tensor:
        if not isinstance(field, GHBNODE):
            raise NotApplicable(f"{name}: the module is {type(field).__name__}, no heavy-ball ODE")
        h, m = field.parts.split(y)
        dh, dm = change(field, t.to(y.dtype), h, m)
        return field(t, y) + field.parts.join(dh + torch.zeros_like(h), dm + torch.zeros_like(m))

    return wrong_field(name, wrong)


GAMMA_DOUBLED = _heavy_ball("damping doubled", lambda f, t, h, m: (0.0, -f.gamma(t) * m))
GAMMA_FLIPPED = _heavy_ball("damping with the wrong sign", lambda f, t, h, m: (0.0, 2 * f.gamma(t) * m))
GAMMA_ON_POSITION = _heavy_ball("damping acts on h as well", lambda f, t, h, m: (-f.gamma(t) * h, 0.0))
GAMMA_FROZEN = _heavy_ball(
    "damping frozen at time zero", lambda f, t, h, m: (0.0, (f.gamma(t) - f.gamma(torch.zeros_like(t))) * m)
)
MOMENTUM_SIGN = _heavy_ball("h' with the wrong sign", lambda f, t, h, m: (-2 * f.activation(f.sign * m), 0.0))
ACTIVATION_DROPPED = _heavy_ball(
    "activation of the momentum dropped", lambda f, t, h, m: (f.sign * m - f.activation(f.sign * m), 0.0)
)


def _straight_through(f: GHBNODE, t: Tensor, h: Tensor, m: Tensor) -> tuple[Tensor, float]:
    wrong = f.sign * m - f.activation(f.sign * m)
    return wrong - wrong.detach(), 0.0


ACTIVATION_SLOPE_DROPPED = _heavy_ball("s' dropped from the derivative", _straight_through)
SPRING_DROPPED = _heavy_ball("spring dropped", lambda f, t, h, m: (0.0, f.sign * f.xi(t) * h))


def _transposed_force(f: GHBNODE, t: Tensor, h: Tensor, m: Tensor) -> tuple[float, Tensor]:
    return 0.0, TransposedJacobian(f.inner)(t, h) - f.inner(t, h)


TRANSPOSED_FORCE = _heavy_ball("J transposed in the derivative", _transposed_force)


def _adam(name: str, change: Callable[..., tuple[Any, Any, Any]]) -> Mutant:
    """change(field, t, h, m, v): h', m' and v' instead of the right ones; None where they stay."""

    def wrong(field: nn.Module, t: Tensor, y: Tensor) -> Tensor:
        if not isinstance(field, AdamNODE):
            raise NotApplicable(f"{name}: the module is {type(field).__name__}, no AdamNODE")
        right = field.parts.split(field(t, y))
        changed = change(field, t.to(y.dtype), *field.parts.split(y))
        return field.parts.join(*(r if c is None else c for r, c in zip(right, changed, strict=True)))

    return wrong_field(name, wrong)


def _half_square(field: AdamNODE, t: Tensor, h: Tensor, m: Tensor, v: Tensor) -> tuple[None, None, Tensor]:
    f = field.inner(t, h)
    return None, None, field.alpha2(t) * (f * f.detach() - v)


HALF_SQUARE = _adam("the factor 2 of f² dropped from the derivative", _half_square)
FROZEN_V = _adam("v frozen", lambda f, t, h, m, v: (None, None, torch.zeros_like(v)))
NEGATIVE_SQUARE = _adam(
    "f² with the wrong sign", lambda f, t, h, m, v: (None, None, f.alpha2(t) * (-f.inner(t, h).square() - v))
)
SQUARE_FORGOTTEN = _adam("f in the place of f²", lambda f, t, h, m, v: (None, None, f.alpha2(t) * (f.inner(t, h) - v)))
DECAY_DROPPED = _adam("m never forgets", lambda f, t, h, m, v: (None, -f.alpha1(t) * f.inner(t, h), None))
RATES_SWAPPED = _adam(
    "rates swapped",
    lambda f, t, h, m, v: (
        None,
        f.alpha2(t) * (-f.inner(t, h) - m),
        f.alpha1(t) * (f.inner(t, h).square() - v),
    ),
)
V_DECAY_DOUBLED = _adam(
    "v forgets twice as fast", lambda f, t, h, m, v: (None, None, f.alpha2(t) * (f.inner(t, h).square() - 2 * v))
)


def _denominator(field: AdamNODE, v: Tensor) -> Tensor:
    if field.denominator == "paper":
        return torch.sqrt(v + field.epsilon)
    return torch.sqrt(field.softplus(v)) + field.epsilon


def _misplaced(field: AdamNODE, t: Tensor, h: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, None, None]:
    if field.denominator == "paper":
        return -m / (torch.sqrt(v) + field.epsilon), None, None
    return -m / torch.sqrt(field.softplus(v) + field.epsilon), None, None


EPSILON_MISPLACED = _adam("epsilon on the wrong side of the root", _misplaced)
ROOT_DROPPED = _adam("root of v dropped", lambda f, t, h, m, v: (-m / _denominator(f, v).square(), None, None))
DENOMINATOR_DETACHED = _adam(
    "denominator without a derivative", lambda f, t, h, m, v: (-m / _denominator(f, v).detach(), None, None)
)
