"""What a plain function reaches, and copies of functions, which reach copies of it."""

from __future__ import annotations

import contextlib
import copy
import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from torch import Tensor, nn

# objects of these packages are not looked into; modules of torch are
_LARGE = ("torch", "numpy", "scipy", "pandas", "jax", "jaxlib")
_CLOSED = frozenset([*_LARGE, "builtins", "typing", "abc", "logging", "threading", "pathlib"])
# objects that are looked through for a tensor: what reaches more reaches the whole program
MOST = 10_000


def reached(function: types.FunctionType) -> Mapping[str, Any]:
    """Names → values of the globals that a function's code names.

    Args:
        function: Of Python.
    """
    codes = [function.__code__, *(c for c in function.__code__.co_consts if isinstance(c, types.CodeType))]
    names = {name for code in codes for name in code.co_names}
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}


def _cells(function: types.FunctionType) -> dict[str, Any]:
    """The variables of a closure that have a value, in its order."""
    found = dict[str, Any]()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # an empty cell
            continue
    return found


def held_by(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, nn.Module | Tensor]]:
    """The modules and tensors that a value reaches, each once, with the variable that leads there.

    Args:
        value: A function, or what one reaches.
        name: The variable that leads to it, or empty.
        seen: Ids of what was gone through already.

    Yields:
        (name, module or tensor).
    """
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, nn.Module | Tensor):
        yield name, value
    for inside, part in _parts(value):
        within = isinstance(value, dict | list | tuple) or _carries(value)
        yield from held_by(part, name if not inside else f"{name}.{inside}" if within and name else inside, seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value leads to at once, by name where it has one of its own."""
    if isinstance(value, nn.Module | Tensor):
        return
    if isinstance(value, functools.partial):
        yield "", value.func
        yield from (("", x) for x in value.args)
        yield from value.keywords.items()
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
    elif isinstance(value, types.FunctionType) and not _is_library(value):
        yield from _cells(value).items()
        yield from reached(value).items()
        yield from (("", x) for x in value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()
    elif _carries(value):
        yield from vars(value).items()
    elif isinstance(value, tuple | list):
        yield from ((str(n), x) for n, x in enumerate(cast("Iterable[Any]", value)))
    elif isinstance(value, dict):
        yield from ((str(key), x) for key, x in cast(dict[Any, Any], value).items())


def _is_library(function: types.FunctionType) -> bool:
    return function.__module__.partition(".")[0] in ("torch", "numpy", "torchdiffeq", "odecheck")


def copied_function(value: Any, memo: dict[int, Any]) -> Any:
    """A copy that reaches copies: of a function with cells and globals of its own; a library's function itself.

    Args:
        value: A function, or what one reaches.
        memo: Ids → copies that are made already, as `copy.deepcopy` has them.

    Returns:
        The copy; the value itself where nothing in it is another in a copy.
    """
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, functools.partial):
        args, more = (
            [copied_function(x, memo) for x in value.args],
            {k: copied_function(x, memo) for k, x in value.keywords.items()},
        )
        made: Any = functools.partial(copied_function(value.func, memo), *args, **more)
    elif isinstance(value, types.MethodType):
        made = types.MethodType(value.__func__, copy.deepcopy(value.__self__, memo))
    elif isinstance(value, types.FunctionType) and not _is_library(value):
        cells: Any = value.__closure__ and tuple(types.CellType() for _ in value.__closure__)
        made = types.FunctionType(value.__code__, {**value.__globals__}, value.__name__, None, cells)
        memo[id(value)] = made  # a function that calls itself reaches itself
        for cell, old in zip(cells or (), value.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # it is empty
                cell.cell_contents = copied_function(old.cell_contents, memo)
        made.__globals__.update({k: copied_function(x, memo) for k, x in reached(value).items() if _is_state(x)})
        made.__defaults__ = copied_function(value.__defaults__, memo)
        made.__kwdefaults__ = copied_function(value.__kwdefaults__, memo)
    elif isinstance(value, Tensor) and not value.is_leaf:
        made = value.detach().clone()
    elif _is_container(value) and _is_state(value):
        made = _copied_items(value, memo)
    elif _is_state(value):
        made = copy.deepcopy(value, memo)  # pyright: ignore[reportUnknownArgumentType]
    else:
        return value
    memo[id(value)] = made  # pyright: ignore[reportUnknownArgumentType]
    return made


def _copied_items(value: Any, memo: dict[int, Any]) -> Any:
    """A container of copies. One that holds itself does so in its copy."""
    if isinstance(value, tuple):
        parts = [copied_function(x, memo) for x in cast("tuple[Any, ...]", value)]
        kind: Any = type(cast(object, value))
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    made: Any = copy.copy(value)
    memo[id(value)] = made
    keys = cast("Iterable[Any]", value if isinstance(value, dict) else range(len(made)))
    for key in list(keys):
        made[key] = copied_function(made[key], memo)
    return made


def is_plain(value: Any) -> bool:
    """Whether an object may hold somebody's tensors in its attributes: a module, or of none of the large packages.

    Args:
        value: Anything.
    """
    return (
        not isinstance(value, type | types.ModuleType)
        and isinstance(getattr(value, "__dict__", None), dict)
        and (isinstance(value, nn.Module) or type(value).__module__.partition(".")[0] not in _CLOSED)
    )


def _carries(value: Any) -> bool:
    """Whether a plain object reaches a module or a tensor."""
    return is_plain(value) and _reaches(value, (nn.Module, Tensor))


def _reaches(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether one of these kinds is among what a value holds, in attributes and containers, also of what it holds."""
    left, seen = [value], set[int]()
    while left and len(seen) < MOST:
        one = left.pop()
        if isinstance(one, kinds):
            return True
        if id(one) not in seen and (_is_container(one) or is_plain(one)):
            seen.add(id(one))
            left.extend(_items(one))
    return False


def _is_container(value: Any) -> bool:
    return isinstance(value, list | tuple | dict)


def _items(holder: Any) -> Iterable[Any]:
    """What a container or a plain object holds."""
    held = cast(Any, holder if _is_container(holder) else vars(holder))
    return cast("dict[Any, Any]", held).values() if isinstance(held, dict) else held


def _is_state(value: Any) -> bool:
    """Whether a value, or what a container holds, is another in a copy."""
    kinds = (nn.Module, Tensor, types.FunctionType, functools.partial, types.MethodType)
    return isinstance(value, kinds) or (_is_container(value) and _reaches(value, kinds)) or _carries(value)
