"""The calls of solver libraries, each read into the same words: a field, a start, times, a method, tolerances."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TORCHDIFFEQ = ("odeint", "odeint_adjoint", "odeint_event")
# what makes a function of this name torchdiffeq's, or that of a copy of it, and not a wrapper around it
TORCHDIFFEQ_INSIDES = frozenset({"_check_inputs", "OdeintAdjointMethod"})
TORCHDIFFEQ_FIXED = frozenset(
    ["euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams", "symplectic"]
)


@dataclass
class Posed:
    """One call of a solver, in words that do not depend on the library.

    field(t, y): the user's own. y0: the parts of the state. many: whether the state is a tuple. adaptive: whether a
    tolerance chooses the steps. told: the tensors that the solve was told to differentiate in, or None where it
    differentiates in whatever the field depends on. again(field, y0, t): the same call with these three, which
    gives the states at the times as a list of tensors, and behind them the time of an event. outputs(result): these of
    the library's own result.
    """

    library: str
    function: str
    field: Any
    y0: list[Tensor]
    t: Tensor
    many: bool
    method: str
    adaptive: bool
    rtol: float
    atol: float
    options: dict[str, Any]
    told: tuple[Tensor, ...] | None
    event: bool
    others: dict[str, Any]
    again: Callable[..., list[Tensor]]
    outputs: Callable[[Any], list[Tensor]]
    adjoint: bool = False
    breaks: tuple[float, ...] = ()
    arranged: Callable[[Tensor], Tensor] = lambda y: y  # an output with the times as its first axis
    named: Any = None  # what the field is called after, where `field` is made of it

    def packed(self, parts: list[Tensor]) -> Any:
        """The state as the field takes it."""
        return tuple(parts) if self.many else parts[0]

    def parts(self, value: Any) -> list[Tensor]:
        """The parts of a state, or of a field's value."""
        return list(value) if self.many else [value]


@dataclass(frozen=True)
class Adapter:
    """How to know a solver function, and how to read a call of it.

    read(original, function, how): how is the call's arguments by name. It raises TypeError for a call that is not
    understood. It returns the call in our words, and what to call `original` with: generators are used up by reading.
    """

    library: str
    knows: Callable[[types.FunctionType], bool]
    read: Callable[[types.FunctionType, types.FunctionType, dict[str, Any]], tuple[Posed, dict[str, Any]]]


def arguments(function: types.FunctionType, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name. Raises TypeError where they do not fit."""
    bound = inspect.signature(function).bind(*args, **kwargs).arguments
    extra = next((p.name for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD), None)
    more = bound.pop(extra, {}) if extra else {}
    return {**bound, **more}


def _knows_torchdiffeq(f: types.FunctionType) -> bool:
    if f.__name__ not in TORCHDIFFEQ or f.__code__.co_varnames[:2] != ("func", "y0"):
        return False
    return bool(TORCHDIFFEQ_INSIDES & set(f.__code__.co_names))


def _knows_own(f: types.FunctionType) -> bool:
    return f.__name__ == "odeint" and f.__module__ == "odecheck.ode"


def _read(original: types.FunctionType, function: types.FunctionType, how: dict[str, Any]) -> tuple[Posed, Any]:
    """A call of torchdiffeq, or of `odecheck.odeint`, whose arguments have the same names."""
    own = _knows_own(original)
    names = ("field" if own else "func", "y0", "t0" if function.__name__ == "odeint_event" else "t")
    adjoint = own or "adjoint" in getattr(how.get("odeint_interface"), "__name__", function.__name__)
    if how.get("adjoint_params") is not None:
        how["adjoint_params"] = tuple(how["adjoint_params"])  # it may be a generator
    func, start, t = (how[name] for name in names)
    others = {k: v for k, v in how.items() if k not in names}
    many = not isinstance(start, Tensor)
    event = function.__name__ == "odeint_event" or how.get("event_fn") is not None
    told = how.get("adjoint_params")
    if told is None and adjoint:
        told = tuple(func.parameters()) if isinstance(func, nn.Module) else ()
    method = how.get("method") or "dopri5"
    options = dict(how.get("options") or {})
    places = [options[k] for k in ("jump_t", "grid_points") if options.get(k) is not None]

    def outputs(result: Any) -> list[Tensor]:
        ys = result[1] if event else result
        return [*(ys if many else [ys]), *([result[0]] if event else [])]

    def again(field: Any, y0: Any, t: Tensor, others: Mapping[str, Any]) -> list[Tensor]:
        return outputs(original(**dict(zip(names, (field, y0, t), strict=True)), **others))

    posed = Posed(
        library="odecheck" if own else "torchdiffeq",
        function=function.__name__,
        field=func,
        y0=list(start) if many else [start],
        t=t.reshape(-1),
        many=many,
        method=method,
        adaptive=method not in TORCHDIFFEQ_FIXED,
        rtol=_number(how.get("rtol", 1e-7)),
        atol=_number(how.get("atol", 1e-9)),
        options=options,
        told=told if adjoint else None,
        event=event,
        others=others,
        again=again,
        outputs=outputs,
        adjoint=adjoint,
        breaks=tuple(float(x) for place in places for x in torch.as_tensor(place).reshape(-1)),
    )
    return posed, how


def _number(x: Any) -> float:
    """A tolerance; of several, one for each part of the state, the largest."""
    return float(torch.as_tensor(x, dtype=torch.float64).max())


def name_of(field: Any) -> str:
    """What to call a field in a table."""
    if field is None:
        return "?"
    if isinstance(field, functools.partial):
        return name_of(field.func)
    if isinstance(field, types.MethodType):
        return f"{type(field.__self__).__name__}.{field.__name__}"
    if isinstance(field, types.FunctionType):
        return field.__qualname__.replace("<locals>.", "").removesuffix(".forward")
    return type(field).__name__


ADAPTERS = [Adapter("torchdiffeq", _knows_torchdiffeq, _read), Adapter("odecheck", _knows_own, _read)]
