"""A module of one's own that is declared to be an HBNODE, a GHBNODE or an AdamNODE: which part is f, which its rates.

The reference then has the equation of the paper, with the module's own f inside: what the module makes of f, m and the
rates is asked, by all claims of that paper.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from odecheck_reference import fields as exact
from odecheck_reference.fields.adam import Denominator
from odecheck_reference.fields.coefficients import Coefficient
from odecheck_reference.fields.functions import ACTIVATIONS
from odecheck_reference.fields.heavy_ball import Signs
from torch import Tensor, nn

from odecheck.errors import BadInput

from .callback import CallbackField, trainable

Rate = float | str
Force = str | Callable[[nn.Module, Tensor, Tensor], Tensor]
# "gamma", "sigmoid(gamma)", "0.5 * sigmoid(gamma)"
_NUMBER, _NAME = r"(?P<scale>\d*\.?\d+(?:[eE][+-]?\d+)?)", r"[A-Za-z_][\w.]*"
_RATE = re.compile(rf"(?:{_NUMBER}\s*\*\s*)?(?:(?P<function>[a-z]\w*)\((?P<inside>{_NAME})\)|(?P<name>{_NAME}))")


@dataclass(frozen=True)
class HeavyBallParts:
    """h' = s(m), m' = −γ m + f(t, h) − ξ h: what of a module is what. Its state is (h, m), h before m.

    Attributes:
        force: f: the name of a submodule, called as f(t, h) or f(h), or a function (module, t, h) → f(t, h).
        damping: γ: a number, the name of a parameter that is one number, or a function of it: "sigmoid(gamma)",
            "0.5 * sigmoid(gamma)".
        spring: ξ, likewise.
        activation: s, by its name.
        signs: "paper" as above; "code" h' = s(−m), m' = −γ m + f + ξ h.
    """

    force: Force
    damping: Rate
    spring: Rate = 0.0
    activation: str = "identity"
    signs: Signs = "paper"
    copies = 2

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Those that are declared, in the order of the reference's parameters."""
        return self.damping, self.spring

    def field(self, force: Inner, rates: tuple[Coefficient, Coefficient]) -> exact.HeavyBall:
        """The reference's field."""
        return exact.HeavyBall(force, *rates, self.activation, self.signs)


@dataclass(frozen=True)
class AdamParts:
    """h' = −m / D(v), m' = α1 (−f − m), v' = α2 (f² − v): what of a module is what. Its state is (h, m, v).

    Attributes:
        force: f, as in `HeavyBallParts`.
        first: α1: a number, a parameter's name or a function of it.
        second: α2, likewise.
        epsilon: of D.
        denominator: "paper" D = √(v + ε); "code" D = √softplus(v) + ε.
    """

    force: Force
    first: Rate
    second: Rate
    epsilon: float = 1e-3
    denominator: Denominator = "paper"
    copies = 3

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Those that are declared, in the order of the reference's parameters."""
        return self.first, self.second

    def field(self, force: Inner, rates: tuple[Coefficient, Coefficient]) -> exact.Adam:
        """The reference's field."""
        return exact.Adam(force, *rates, self.epsilon, self.denominator)


Parts = HeavyBallParts | AdamParts


class Inner(CallbackField):
    """f(t, h) of a module, as a map of the reference's."""

    @property
    def inputs(self) -> int:
        """Components of h."""
        return self.state

    @property
    def outputs(self) -> int:
        """Components of f."""
        return self.state


class Ordered(nn.Module):
    """A module whose `parameters()` come in another order: those of f, then those of the rates.

    Args:
        inner: the module.
        names: its trainable parameters, in the order wanted.
    """

    def __init__(self, inner: nn.Module, names: list[str]) -> None:
        super().__init__()
        own = dict(inner.named_parameters())
        for i, name in enumerate(names):
            self.register_parameter(f"parameter_{i}", own[name])
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The module's value."""
        return self.inner(t, y)


class _Force(nn.Module):
    """f(t, h) as a module of its own: a copy of the whole module, of which everything but f is frozen."""

    def __init__(self, module: nn.Module, force: Force, names: list[str], takes_time: bool) -> None:
        super().__init__()
        self.module, self.force, self.takes_time = copy.deepcopy(module), force, takes_time
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(name in names)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        if not isinstance(self.force, str):
            return self.force(self.module, t, h)
        part = self.module.get_submodule(self.force)
        return part(t, h) if self.takes_time else part(h)


def declared(module: nn.Module, parts: Parts, y0: Tensor) -> tuple[Any, nn.Module]:
    """The reference's field of a declared module, and the module with its parameters in that field's order.

    Args:
        module: called as module(t, y), float64.
        parts: what of it is what.
        y0: an example state, (batch, *features): the parts are one behind the other along the first of its axes that
            they divide.

    Returns:
        The field, and the module.

    Raises:
        BadInput: a part that is not there, a parameter of none of them, a state that does not divide, an f that is
            called with something else than h.
    """
    if y0.shape[1] % parts.copies:
        raise BadInput(
            f"the example state has shape {tuple(y0.shape)}, which is not {parts.copies} parts of one size",
            "a state without its momentum",
            f"(batch, {parts.copies}, …) or (batch, {parts.copies} d): h before m" + " before v" * (parts.copies == 3),
        )
    one, other = parts.rates
    chosen = _coefficient(module, one), _coefficient(module, other)
    of_rates = [name for _, name in chosen if name]
    of_force = [name for name in trainable(module) if name not in of_rates]
    if isinstance(parts.force, str):
        _has_all(module, parts.force, of_force)
    features, takes_time = _seen(module, parts, y0)
    inner = Inner(_Force(module, parts.force, of_force, takes_time), features)
    return parts.field(inner, (chosen[0][0], chosen[1][0])), Ordered(module, [*of_force, *of_rates])


def _coefficient(module: nn.Module, rate: Rate) -> tuple[Coefficient, str]:
    """A coefficient of the reference, and the name of its parameter."""
    if isinstance(rate, int | float):
        return exact.Fixed(float(rate)), ""
    found, names = _RATE.fullmatch(rate.strip()), dict(module.named_parameters())
    function = "" if found is None else found["function"] or ""
    name = "" if found is None else found["inside"] or found["name"] or ""
    if found is None or name not in names or (function and function not in ACTIVATIONS):
        raise BadInput(
            f"the rate {rate!r} is no parameter of {type(module).__name__}, nor a function of one",
            f"another name; parameters are {', '.join(names) or 'none'}, functions {', '.join(sorted(ACTIVATIONS))}",
            "a number, the name of a parameter, or as in '0.5 * sigmoid(gamma)'",
        )
    parameter = names[name]
    if parameter.numel() != 1:
        raise BadInput(
            f"the rate {rate!r} has shape {tuple(parameter.shape)}",
            "a rate for each component, which the papers' equations do not have",
            "a parameter that is one number",
        )
    scale = float(found["scale"] or 1.0)
    if not parameter.requires_grad:
        value = parameter.detach().double().reshape(1).numpy()
        return exact.Fixed(scale * float(ACTIVATIONS[function or "identity"].value(value)[0])), ""
    if not function and scale == 1.0:
        return exact.Free(), name
    return exact.Learnt(function or "identity", scale), name


def _has_all(module: nn.Module, force: str, names: list[str]) -> None:
    """Raises BadInput where a named f is not there, or a trainable parameter is neither f's nor a rate."""
    inside: dict[str, nn.Module] = dict(module.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    if force not in inside:
        raise BadInput(
            f"{type(module).__name__} has no submodule {force!r}",
            f"another name; its submodules are {', '.join(n for n in inside if n) or 'none'}",
            "force='net', or force=lambda module, t, h: module.net(t, h)",
        )
    own = {id(p) for p in inside[force].parameters()}
    others = [name for name, p in trainable(module).items() if name in names and id(p) not in own]
    if others:
        raise BadInput(
            f"the parameters {', '.join(others)} belong neither to {force!r} nor to a rate",
            "a rate that was not declared, or a force that is more than that submodule",
            f"damping='{others[0]}', or force=lambda module, t, h: … with all that f is made of",
        )


def _seen(module: nn.Module, parts: Parts, y0: Tensor) -> tuple[tuple[int, ...], bool]:
    """The features of h as f sees it, and whether it is given the time: by one call."""
    whole = y0.shape[1:]
    features = (whole[0] // parts.copies, *whole[1:])
    if not isinstance(parts.force, str):
        return features, True
    calls: list[tuple[Any, ...]] = []

    def see(_: nn.Module, args: tuple[Any, ...]) -> None:
        calls.append(args)

    handle = module.get_submodule(parts.force).register_forward_pre_hook(see)
    try:
        module(torch.zeros((), dtype=y0.dtype), y0)
    finally:
        handle.remove()
    states = [x for x in (calls[0] if calls else ()) if isinstance(x, torch.Tensor)]
    h = states[-1] if states else y0[:0]
    if h.shape[:1] != y0.shape[:1] or h[0].numel() * parts.copies != y0[0].numel():
        saw = "is not called" if not calls else f"is called with {[tuple(x.shape) for x in states]}"
        raise BadInput(
            f"{parts.force!r} {saw}, of a state of shape {tuple(y0.shape)}",
            "a time, or something else, that is put beside h before the call",
            "force=lambda module, t, h: …, the whole of f(t, h)",
        )
    return tuple(h.shape[1:]), len(calls[0]) > 1
