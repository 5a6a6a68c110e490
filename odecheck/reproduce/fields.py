"""Vector fields as a few lines of torch, f(t, y, p) with p all parameters in one row, and the same in jax and numpy."""

from __future__ import annotations

import re
from functools import singledispatch
from itertools import pairwise

from odecheck_reference.fields import (
    Adam,
    Augmented,
    HeavyBall,
    Linear,
    Logistic,
    Lorenz,
    LotkaVolterra,
    Mlp,
    Pendulum,
    SecondOrder,
    Switched,
    VanDerPol,
)
from odecheck_reference.fields.coefficients import Fixed, Free, Learnt
from odecheck_reference.losses import QuadraticCost

from odecheck.engines.script_call import Language
from odecheck.errors import BadInput

ACTIVATIONS = {
    "tanh": "torch.tanh({})",
    "sine": "torch.sin({})",
    "sigmoid": "torch.sigmoid({})",
    "identity": "{}",
    "softplus": "torch.nn.functional.softplus({})",
    "gelu": "torch.nn.functional.gelu({})",
}
OTHERS: dict[Language, tuple[tuple[str, str], ...]] = {
    "torch": (),
    "jax": (
        ("torch.cat", "jnp.concatenate"),
        ("torch.sigmoid", "jax.nn.sigmoid"),
        ("torch.nn.functional.softplus", "jax.nn.softplus"),
        ("torch.", "jnp."),
    ),
    "numpy": (("torch.cat", "np.concatenate"), ("torch.", "np.")),
}
ONLY_TORCH = ("torch.nn", "torch.sigmoid", "torch.log_softmax")


def in_language(line: str, language: Language) -> str:
    """A line of torch in another language of arrays. Raises BadInput for a function that has another name there."""
    for old, new in OTHERS[language]:
        if language == "numpy" and any(name in line for name in ONLY_TORCH):
            raise BadInput(f"no text is known in numpy for: {line}", "one of the larger models", SHOW)
        line = line.replace(old, new)
    return line


SHOW = "odecheck show ROW, which runs the case again with odecheck; or a method in odecheck/reproduce/fields.py"


@singledispatch
def lines(field: object) -> list[str]:
    """The body of f(t, y, p) in torch; the last line returns. Raises BadInput for a field that has no text here."""
    raise BadInput(
        f"no text is known for the field {type(field).__name__}",
        "a field of your own, or one of the larger models",
        SHOW,
    )


def with_cost(body: list[str], cost: object) -> list[str]:
    """The body of the field whose state has the running cost as one more component."""
    if not isinstance(cost, QuadraticCost):
        raise BadInput(f"no text is known for the running cost {type(cost).__name__}", "a cost of your own", SHOW)
    integrand = (
        f"0.5 * ({cost.state_weight!r} * (y * y).sum(-1) + {cost.theta_weight!r} * (p * p).sum()) "
        f"+ {cost.time_weight!r} * t * y[..., 0]"
    )
    rate = body[-1].removeprefix("return ")
    return [
        "y = y[..., :-1]",
        *body[:-1],
        f"cost = {integrand}  # one more component of the state is its integral",
        f"return torch.cat([{rate}, cost[..., None]], -1)",
    ]


def _inside(field: object, part: str) -> tuple[list[str], str]:
    """The body of a field inside another one, at a part of its state; and what it would return."""
    body = [re.sub(r"\by\b", part, line) for line in lines(field)]
    return body[:-1], body[-1].removeprefix("return ")


@lines.register
def _(field: Linear) -> list[str]:
    d = field.state
    drift = f" + p[{d * d + d}:] * t" if field.time else ""
    return [f"return y @ p[:{d * d}].reshape({d}, {d}).T + p[{d * d}:{d * d + d}]{drift}"]


@lines.register
def _(field: Mlp) -> list[str]:
    found = ["z = torch.cat([y, t + 0 * y[..., :1]], -1)" if field.time else "z = y"]
    at, widths = 0, field.widths
    for layer, (wide, out) in enumerate(pairwise(widths)):
        z = "z" if layer == 0 else ACTIVATIONS[field.activation].format("z")
        end = at + wide * out
        given = "return" if layer == len(widths) - 2 else "z ="
        found.append(f"{given} {z} @ p[{at}:{end}].reshape({out}, {wide}).T + p[{end}:{end + out}]")
        at = end + out
    return found


@lines.register
def _(field: Pendulum) -> list[str]:
    return [
        "q, v = y[..., :1], y[..., 1:]",
        "return torch.cat([v, p[2] * torch.cos(p[3] * t) - p[1] * v - p[0] * torch.sin(q)], -1)",
    ]


@lines.register
def _(field: Switched) -> list[str]:
    return [f"return torch.where(t < {field.at!r}, p[0], p[1]) * y"]


@lines.register
def _(field: Logistic) -> list[str]:
    return ["return p[0] * y * (1 - y / p[1])"]


@lines.register
def _(field: LotkaVolterra) -> list[str]:
    return ["a, b = y[..., :1], y[..., 1:]", "return torch.cat([a * (p[0] - p[1] * b), b * (p[3] * a - p[2])], -1)"]


@lines.register
def _(field: VanDerPol) -> list[str]:
    return ["x, v = y[..., :1], y[..., 1:]", "return torch.cat([v, p[0] * (1 - x * x) * v - x], -1)"]


@lines.register
def _(field: Lorenz) -> list[str]:
    return [
        "u, v, w = y[..., :1], y[..., 1:2], y[..., 2:]",
        "return torch.cat([p[0] * (v - u), u * (p[1] - w) - v, u * v - p[2] * w], -1)",
    ]


@lines.register
def _(field: Augmented) -> list[str]:
    return lines(field.inner)


@lines.register
def _(field: SecondOrder) -> list[str]:
    d = field.state // 2
    body, rate = _inside(field.inner, "x") if field.inner.inputs == d else _inside(field.inner, "y")
    cut = [f"x, v = y[..., :{d}], y[..., {d}:]"]
    return [*cut, *body, f"return torch.cat([v, {rate}], -1)"]


def _coefficient(c: object, at: int) -> str:
    """The text of a coefficient whose parameters begin at `at`."""
    match c:
        case Fixed():
            return repr(c.number)
        case Free():
            return f"p[{at}]"
        case Learnt():
            return f"{c.scale!r} * {ACTIVATIONS[c.activation].format(f'p[{at}]')}"
        case _:
            raise BadInput(f"no text is known for the coefficient {type(c).__name__}", "a coefficient of time", SHOW)


@lines.register
def _(field: HeavyBall) -> list[str]:
    d, n, sign = field.state // 2, field.inner.params, "" if field.signs == "paper" else "-"
    body, rate = _inside(field.inner, "h")
    gamma, xi = _coefficient(field.gamma, n), _coefficient(field.xi, n + field.gamma.params)
    velocity = ACTIVATIONS[field.activation].format(f"{sign}m")
    spring = "" if xi == "0.0" else f" {'+' if sign else '-'} {xi} * h"
    return [
        f"h, m = y[..., :{d}], y[..., {d}:]",
        *body,
        f"return torch.cat([{velocity}, {rate} - {gamma} * m{spring}], -1)",
    ]


@lines.register
def _(field: Adam) -> list[str]:
    d, n = field.state // 3, field.inner.params
    body, rate = _inside(field.inner, "h")
    alpha, beta = _coefficient(field.alpha1, n), _coefficient(field.alpha2, n + field.alpha1.params)
    root = f"(v + {field.epsilon!r}) ** 0.5"
    if field.denominator == "code":
        root = f"(torch.nn.functional.softplus(v) ** 0.5 + {field.epsilon!r})"
    return [
        f"h, m, v = y[..., :{d}], y[..., {d}:{2 * d}], y[..., {2 * d}:]",
        *body,
        f"force = {rate}",
        f"return torch.cat([-m / {root}, {alpha} * (-force - m), {beta} * (force**2 - v)], -1)",
    ]
