"""The torch module of a numpy field: the same formula, written a second time in torch.

A field of your own gets its twin with `build.register`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from odecheck_reference import fields as exact
from torch import Tensor, nn

from . import adam, classical, coefficients, heavy_ball, node, second_order
from .parts import PartedField

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "softplus": coefficients.Softplus,
    "sine": coefficients.Sine,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def torch_twin(field: object) -> Callable[[Tensor], nn.Module]:
    """theta (params,) → the torch module of `field`, with theta as its parameters, flattened in order.

    The module has the number type and the device of theta, and its own copy of it. A field without named parts of
    its own comes as a `NODE` over it.
    Raises TypeError for a field without a twin, ValueError when theta has another length than the parameters.
    """

    def at(theta: Tensor) -> nn.Module:
        built = build(field).to(theta)
        module = built if isinstance(built, PartedField) else node.NODE(built)
        sizes = [p.numel() for p in module.parameters()]
        if theta.shape != (sum(sizes),):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, but {type(field).__name__} has {sum(sizes)} parameters"
            )
        with torch.no_grad():
            for parameter, values in zip(module.parameters(), theta.detach().split(sizes), strict=True):
                parameter.copy_(values.reshape(parameter.shape))
        return module

    return at


@singledispatch
def build(field: object) -> nn.Module:
    """The torch module of a numpy field (or coefficient), at whatever parameters."""
    raise TypeError(
        f"no torch module is known for {type(field).__name__}. Give the subject a module of its own, "
        f"or register one: @odecheck.fields.from_reference.build.register for {type(field).__name__}"
    )


@build.register
def _(field: exact.Linear) -> nn.Module:
    return node.Affine(field.state, field.time)


@build.register
def _(field: exact.Mlp) -> nn.Module:
    layers = node.stack(field.widths, ACTIVATIONS[field.activation]())
    return node.WithTime(layers) if field.time else node.Autonomous(layers)


@build.register
def _(field: exact.GradientFlow) -> nn.Module:
    return node.GradientFlow(field.state, field.width, ACTIVATIONS[field.activation]())


@build.register
def _(field: exact.Augmented) -> nn.Module:
    return node.ANODE(build(field.inner), field.extra)


@build.register
def _(field: exact.SecondOrder) -> nn.Module:
    return second_order.SONODE(build(field.inner), velocity=field.inner.inputs != field.inner.outputs)


@build.register
def _(field: exact.HeavyBall) -> nn.Module:
    inner, gamma = build(field.inner), build(field.gamma)
    if field.activation == "identity" and field.xi == exact.Fixed(0.0):
        return heavy_ball.HBNODE(inner, gamma, field.signs)
    return heavy_ball.GHBNODE(inner, gamma, build(field.xi), ACTIVATIONS[field.activation](), field.signs)


@build.register
def _(field: exact.Adam) -> nn.Module:
    return adam.AdamNODE(build(field.inner), build(field.alpha1), build(field.alpha2), field.epsilon, field.denominator)


@build.register
def _(field: exact.Logistic) -> nn.Module:
    return classical.Logistic()


@build.register
def _(field: exact.LotkaVolterra) -> nn.Module:
    return classical.LotkaVolterra()


@build.register
def _(field: exact.VanDerPol) -> nn.Module:
    return classical.VanDerPol()


@build.register
def _(field: exact.Pendulum) -> nn.Module:
    return classical.Pendulum()


@build.register
def _(field: exact.Lorenz) -> nn.Module:
    return classical.Lorenz()


@build.register
def _(field: exact.Switched) -> nn.Module:
    return classical.Switched(field.at)


@build.register
def _(given: exact.Fixed) -> nn.Module:
    return coefficients.Fixed(given.number)


@build.register
def _(given: exact.Free) -> nn.Module:
    return coefficients.Free()


@build.register
def _(given: exact.Learnt) -> nn.Module:
    return coefficients.Learnt(0.0, ACTIVATIONS[given.activation](), given.scale)


@build.register
def _(given: exact.OfTime) -> nn.Module:
    net = given.net
    if not isinstance(net, exact.Mlp):
        raise TypeError(f"a coefficient's network is an Mlp of time, not {type(net).__name__}")
    layers = node.stack(net.widths, ACTIVATIONS[net.activation]())
    return coefficients.OfTime(layers, ACTIVATIONS[given.activation](), given.scale)
