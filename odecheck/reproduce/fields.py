"""Vector fields as a few lines of torch, f(t, y, p) with p all parameters in one row."""

from __future__ import annotations

from functools import singledispatch
from itertools import pairwise

from odecheck_reference.fields import HeavyBall, Linear, Logistic, LotkaVolterra, Mlp, Pendulum, Switched, VanDerPol
from odecheck_reference.fields.coefficients import Fixed

from ..door import BadInput

ACTIVATIONS = {"tanh": "torch.tanh({})", "sine": "torch.sin({})", "sigmoid": "torch.sigmoid({})", "identity": "{}",
               "softplus": "torch.nn.functional.softplus({})", "gelu": "torch.nn.functional.gelu({})"}  # fmt: skip


@singledispatch
def lines(field: object) -> list[str]:
    """The body of f(t, y, p). Raises BadInput for a field that has no text here."""
    raise BadInput(
        f"no text is known for the field {type(field).__name__}",
        "a field of your own, or one of the larger models",
        "odecheck show ROW, which runs the case again with odecheck; or a method in odecheck/reproduce/fields.py",
    )


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
        found.append(f"z = {z} @ p[{at}:{end}].reshape({out}, {wide}).T + p[{end}:{end + out}]")
        at = end + out
    return [*found, "return z"]


@lines.register
def _(field: Pendulum) -> list[str]:
    return ["q, v = y[..., :1], y[..., 1:]",
            "return torch.cat([v, p[2] * torch.cos(p[3] * t) - p[1] * v - p[0] * torch.sin(q)], -1)"]  # fmt: skip


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
def _(field: HeavyBall) -> list[str]:
    if not isinstance(field.inner, Mlp) or not isinstance(field.gamma, Fixed) or field.activation != "identity":
        return lines.dispatch(object)(field)
    d = field.state // 2
    sign = -1 if field.signs == "code" else 1
    if sign < 0:
        return lines.dispatch(object)(field)
    inner = [line.replace("cat([y,", f"cat([y[..., :{d}],").replace("z = y", f"z = y[..., :{d}]")
             if "z = y" in line or "cat([y," in line else line for line in lines(field.inner)]  # fmt: skip
    return [*inner[:-1], f"return torch.cat([y[..., {d}:], z - {field.gamma.number!r} * y[..., {d}:]], -1)"]
