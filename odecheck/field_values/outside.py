"""What a field's code keeps outside of the field: in globals, in attributes of its class, in closures and defaults.

All copies of a field share that, so that a weight's norm that was kept there at the first call stays what it is when
the weight changes, in every copy alike. It gives itself away when it is forgotten: at the parameters that it was made
with the field is as before, as it is made anew then, and with others it is not.
"""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from odecheck.fields.functions import is_plain, reached
from odecheck.fields.shaped import OfFunction

from .answers import KEPT_OUTSIDE, ROUNDING, Answer
from .function import CHANGES, changed, distance, places_of, value_at
from .points import Path

PLACES = 2
# holders that are looked at
MOST = 32
_CONTAINERS = (dict, list, set, deque)
_NUMBERS = (Tensor, np.ndarray, np.floating, float)
# packages whose code keeps nothing of a field, and is not to be disturbed
_NOBODYS = frozenset(["torch", "odecheck", "torchdiffeq", "numpy", "scipy", "jax", "pandas"]) | sys.stdlib_module_names
# a variable, its value, and what gives it another one
Named = tuple[str, Any, Callable[[Any], object] | None]


@dataclass(frozen=True, eq=False)
class Holder:
    """Something outside of a field that a call may keep a value in.

    Attributes:
        name: The variable, as its code calls it.
        forget: Makes it as it was before any call, and gives what brings it back.
    """

    name: str
    forget: Callable[[], Callable[[], object]]

    @contextmanager
    def forgotten(self) -> Generator[None]:
        """Nothing is kept there meanwhile."""
        back = self.forget()
        try:
            yield
        finally:
            back()


def ask_outside(
    make: Callable[[], nn.Module], path: Path, features: tuple[int, ...], *, seed: int = 0
) -> tuple[Answer, ...]:
    """Ask with changed parameters, and what is kept outside of the field forgotten.

    Args:
        make: A float64 module, made anew at each call.
        path: States to ask at and around.
        features: The shape of one row of the state.
        seed: Of the places.

    Returns:
        One answer, the worst; none where nothing is kept outside, or where its like is not made anew.
    """
    places = list(places_of(path, features, np.random.default_rng(seed), make, PLACES))
    own, other = make(), make()
    with torch.no_grad():
        for p in other.parameters():
            if p.requires_grad and p.numel():
                p.copy_(changed(p, CHANGES[0]))
    for module in (own, other):  # what is kept is there from the first call on
        value_at(module, places[0])
    worst: Answer | None = None
    beside = {holder.name: holder for holder in holders(other)}
    for holder in holders(own):
        for place in places:
            before, kept = value_at(own, place), value_at(other, place)  # in this order: a cache has no way back
            with holder.forgotten():
                again = value_at(own, place)
            if holder.name not in beside or not distance(again, before) <= ROUNDING:
                break
            with beside[holder.name].forgotten():
                fresh = value_at(other, place)
            if not bool(torch.isfinite(fresh).any()):
                break
            found = Answer(KEPT_OUTSIDE, distance(kept, fresh), float(place[0]), kept_in=holder.name)
            if worst is None or found.gap > worst.gap:
                worst = found
    return () if worst is None else (worst,)


def holders(module: nn.Module) -> list[Holder]:
    """What code of a module, or of a function in its place, may keep values in outside of it.

    Args:
        module: One that was called.

    Returns:
        The first of them, each once.
    """
    found = dict[str, Holder]()
    functions, kinds = _code(module)
    seen = set[int]()
    named: deque[Iterator[Named]] = deque([_attributes(kind) for kind in kinds])
    named.extend(_reached(f, seen) for f in functions)
    while named and len(found) < MOST:
        for name, value, put in named.popleft():
            if isinstance(value, types.FunctionType):
                named.append(_reached(value, seen))
            elif hasattr(value, "cache_clear") and hasattr(value, "__wrapped__"):
                found.setdefault(name, Holder(name, functools.partial(_cleared, value)))
                named.append(_reached(value.__wrapped__, seen))
            elif isinstance(value, _CONTAINERS):
                found.setdefault(name, Holder(name, functools.partial(_emptied, value)))
            elif isinstance(value, _NUMBERS) and not isinstance(value, nn.Parameter) and put is not None:
                found.setdefault(name, Holder(name, functools.partial(_without, value, put)))
    return list(found.values())[:MOST]


def _code(module: nn.Module) -> tuple[list[Any], list[type]]:
    """The functions of a module's classes and of its parts', or that one stands in for; and these classes."""
    parts = list(module.modules())
    own = (kind for part in parts for kind in type(part).__mro__)
    kinds = [kind for kind in dict.fromkeys(own) if not _is_nobodys(kind.__module__)]
    functions = [_plain(part.function) for part in parts if isinstance(part, OfFunction)]
    return functions + [_plain(value) for kind in kinds for value in vars(kind).values()], kinds


def _plain(value: Any) -> Any:
    """The function inside a partial, a method or a property."""
    while not isinstance(value, types.FunctionType):
        inner = (getattr(value, name, None) for name in ("func", "__func__", "fget"))
        found = next((x for x in inner if callable(x)), None)
        if found is None:
            return value
        value = found
    return value


def _attributes(kind: type) -> Iterator[Named]:
    own: dict[str, Any] = dict(vars(kind))
    for name, value in own.items():
        if not name.startswith("__") and not callable(value):
            yield f"{kind.__name__}.{name}", value, functools.partial(setattr, kind, name)


def _reached(function: Any, seen: set[int]) -> Iterator[Named]:
    """What a function leads to: globals, what it takes of modules, classes and objects among them, cells, defaults."""
    if id(function) in seen or not isinstance(function, types.FunctionType) or _is_nobodys(function.__module__):
        return
    seen.add(id(function))
    for name, value in reached(function).items():
        yield name, value, functools.partial(function.__globals__.__setitem__, name)
        home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if _is_nobodys(home):
            continue
        if isinstance(value, types.ModuleType | type) or (is_plain(value) and not isinstance(value, nn.Module)):
            for inner in function.__code__.co_names:
                if inner in vars(value):
                    yield f"{name}.{inner}", vars(value)[inner], functools.partial(setattr, value, inner)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell
            yield name, cell.cell_contents, functools.partial(setattr, cell, "cell_contents")
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield f"a default of {function.__name__}", value, None


def _is_nobodys(module: str | None) -> bool:
    return isinstance(cast(object, module), str) and str(module).partition(".")[0] in _NOBODYS


def _emptied(container: Any) -> Callable[[], object]:
    kept = copy.copy(container)
    container.clear()

    def back() -> None:
        container.clear()
        getattr(container, "extend" if isinstance(container, list | deque) else "update")(kept)

    return back


def _without(value: Any, put: Callable[[Any], object]) -> Callable[[], object]:
    put(None)
    return functools.partial(put, value)


def _cleared(function: Any) -> Callable[[], object]:
    function.cache_clear()
    return function.cache_clear
