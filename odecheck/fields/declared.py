"""A module of one's own that is declared to be an HBNODE, a GHBNODE or an AdamNODE: which part is f, which its rates.

The reference then has the equation of the paper, with the module's own f inside: what the module makes of f, m and the
rates is asked, by all claims of that paper.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from odecheck_reference import fields as exact
from odecheck_reference.fields.adam import Denominator
from odecheck_reference.fields.assembly import OwnRate
from odecheck_reference.fields.coefficients import Coefficient
from odecheck_reference.fields.functions import ACTIVATIONS
from odecheck_reference.fields.heavy_ball import Signs
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.foreign import literal, said

from .callback import CallbackField, StandIn, trainable

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
    copies: ClassVar[int] = 2

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
    copies: ClassVar[int] = 3

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Those that are declared, in the order of the reference's parameters."""
        return self.first, self.second

    def field(self, force: Inner, rates: tuple[Coefficient, Coefficient]) -> exact.Adam:
        """The reference's field."""
        return exact.Adam(force, *rates, self.epsilon, self.denominator)


Parts = HeavyBallParts | AdamParts


class Inner(CallbackField, OwnRate):
    """f(t, h) of a module, as a map of the reference's."""


class Ordered(StandIn):
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

    @property
    def called(self) -> str:
        """The name of the module's class."""
        return type(self.inner).__name__

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
        y0: an example state, (batch, *features): the parts are one behind the other along the axis behind the batch.

    Returns:
        The field, and the module.

    Raises:
        BadInput: a part that is not there, a parameter of none of them or of two, a state that does not divide, an f
            that is called with something else than h, a module or an f that raises.
    """
    if y0.shape[1] % parts.copies:
        raise BadInput(
            f"the example state has shape {tuple(y0.shape)}, which is not {parts.copies} parts of one size",
            "a state without its momentum",
            f"(batch, {parts.copies}, …) or (batch, {parts.copies} d): h before m" + " before v" * (parts.copies == 3),
        )
    activation = parts.activation if isinstance(parts, HeavyBallParts) else "identity"
    if activation not in ACTIVATIONS:
        raise BadInput(
            f"the activation {literal(activation)} is not known",
            "another name of it",
            f"one of {', '.join(sorted(ACTIVATIONS))}",
        )
    one, other = parts.rates
    chosen = _coefficient(module, one), _coefficient(module, other)
    of_rates = [name for _, name in chosen if name]
    of_force = [name for name in trainable(module) if name not in of_rates]
    if len(set(of_rates)) < len(of_rates):
        raise BadInput(
            f"both rates are of the parameter {of_rates[0]!r}",
            "one rate that stands in two places of the equation, which the papers' equations do not have",
            "a parameter for each rate, or a number for one of them",
        )
    if isinstance(parts.force, str):
        _has_all(module, parts.force, of_force, of_rates)
    features, takes_time = _seen(module, parts, y0)
    force = _Force(module, parts.force, of_force, takes_time)
    _gives_a_slope(force, y0.new_zeros(len(y0), *features))
    try:
        field = parts.field(Inner(force, features), (chosen[0][0], chosen[1][0]))
    except ValueError as error:
        raise BadInput(str(error), "an option of the declaration", "help(odecheck.HeavyBallParts)") from None
    return field, Ordered(module, [*of_force, *of_rates])


def _coefficient(module: nn.Module, rate: Rate) -> tuple[Coefficient, str]:
    """A coefficient of the reference, and the name of its parameter."""
    if isinstance(rate, int | float):
        return exact.Fixed(float(rate)), ""
    # somebody may give anything
    text = rate.strip() if isinstance(rate, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    found, names = _RATE.fullmatch(text), dict(module.named_parameters())
    function = "" if found is None else found["function"] or ""
    name = "" if found is None else found["inside"] or found["name"] or ""
    if found is None or name not in names or (function and function not in ACTIVATIONS):
        raise BadInput(
            f"the rate {literal(rate)} is no parameter of {type(module).__name__}, nor a function of one",
            f"another name; parameters are {', '.join(names) or 'none'}, functions {', '.join(sorted(ACTIVATIONS))}",
            "a number, the name of a parameter, or as in '0.5 * sigmoid(gamma)'",
        )
    parameter = names[name]
    if parameter.numel() != 1:
        raise BadInput(
            f"the rate {literal(rate)} has shape {tuple(parameter.shape)}",
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


def _has_all(module: nn.Module, force: str, names: list[str], rates: list[str]) -> None:
    """Raises BadInput where a named f is not there, or a trainable parameter is neither f's nor a rate, or is both."""
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
    both = [name for name, p in module.named_parameters() if name in rates and id(p) in own]
    if both:
        raise BadInput(
            f"the parameter {both[0]} is a rate, and belongs to {force!r} as well",
            "the name of another parameter, or a rate that f depends on, which the papers' equations do not have",
            "the parameter of the rate itself",
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
    except Exception as error:
        raise BadInput(
            f"{type(module).__name__} raised at the example state: {said(error)}",
            "an example state of another shape, or a module called in another way",
            "a module called as module(t, y), with y as the example state",
        ) from error
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


def _gives_a_slope(force: nn.Module, h: Tensor) -> None:
    """Raises BadInput where f raises, or gives something else than a slope of h."""
    try:
        found = force(torch.zeros((), dtype=h.dtype), h)
    except Exception as error:
        found = said(error)
    if not isinstance(found, torch.Tensor) or found.shape != h.shape:
        gave = f"of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else literal(found, 200)
        raise BadInput(
            f"f gives {gave} for h of shape {tuple(h.shape)}",
            "a force that is a part of f alone, or that takes other arguments",
            "force=lambda module, t, h: …, the whole of f(t, h), of the shape of h",
        )
