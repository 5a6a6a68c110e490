"""What the code of a field reads from outside of it: whether a new process has the same values there.

A class is pickled by its name, so a new process imports its module afresh. Where a user's file has set something there,
`their_model.SCALE = 2` or `Field.order = 3`, the new process has another field.
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from odecheck.fields.callback import ModuleFactory
from odecheck.fields.shaped import OfFunction
from odecheck.subject import Subject

# their code is the same in every process of this machine, and their objects are no options of a user's
_OTHERS = {"torch", "torchdiffeq", "numpy", "scipy", "odecheck", "odecheck_reference"}
_LIBRARIES = (_OTHERS | sys.stdlib_module_names) - {"argparse", "types"}  # less those of namespaces
# a value is looked into so many levels deep, and of so many entries
DEEPEST, MOST = 4, 10_000


def read_outside(subject: Subject) -> str:
    """A digest of the plain values that the code of a subject's field reads: globals, class attributes.

    Args:
        subject: Its field is a class, a function, or the copy of a module.

    Returns:
        Sixteen hexadecimal digits; values of other kinds do not count: modules, open files, what has no text,
        what cannot be looked at.
    """
    field: Any = subject.field
    roots: list[Any] = [field]
    if isinstance(field, ModuleFactory):
        parts = list(field.module.modules())
        roots = [*map(type, parts), *(part.function for part in parts if isinstance(part, OfFunction))]
    lines = sorted({f"{name}={value}" for name, value in _read(roots)})
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()[:16]


def _read(roots: Iterable[Any]) -> Iterator[tuple[str, str]]:
    left, seen = list(roots), set[int]()
    while left:
        one = left.pop()
        if id(one) in seen or _is_library(one):
            continue
        seen.add(id(one))
        if isinstance(one, type):
            left += one.__mro__[1:]
            for name, value in list(vars(one).items()):
                with suppress(Exception):  # of a property, or a __getattr__, of anybody: this one does not count
                    value = getattr(value, "__func__", value)  # of static and class methods
                    left += [value] if isinstance(value, types.FunctionType) else []
                    yield from _plain(f"{one.__qualname__}.{name}", value)
        elif isinstance(one, types.FunctionType):
            names = set(_names(one.__code__))
            for name, value in _globals(one.__globals__, names):
                with suppress(Exception):
                    if isinstance(value, type | types.FunctionType):
                        left.append(value)
                    elif not isinstance(value, nn.Module):
                        yield from _plain(name, value)  # a script's module has another name in a new process


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


def _globals(space: Mapping[str, Any], names: set[str]) -> Iterator[tuple[str, Any]]:
    """Those of a function's module, and those of other modules that it names: `config.SCALE`."""
    for name in sorted(names & space.keys()):
        value = space[name]
        if not issubclass(type(value), types.ModuleType):
            yield name, value
        elif not _is_library(value):
            inside = cast(Mapping[str, Any], vars(value))
            yield from ((f"{name}.{other}", inside[other]) for other in sorted(names & inside.keys()))


def _is_library(value: Any) -> bool:
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return str(name).partition(".")[0] in _LIBRARIES


def _plain(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not name.rpartition(".")[2].startswith("__") and (text := _shown(value)) is not None:
        yield name, text


def _shown(value: Any, depth: int = 0) -> str | None:
    """The same text for the same value in every process; None of what has none."""
    if isinstance(value, bool | int | float | complex | str | bytes | None):
        return repr(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        whole = cast(Any, value)
        array: Any = whole.detach().cpu().to_dense().numpy() if isinstance(value, torch.Tensor) else whole
        return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    if depth == DEEPEST or (isinstance(value, list | tuple | dict) and len(cast(Any, value)) > MOST):
        return None
    if isinstance(value, list | tuple):
        parts = [_shown(x, depth + 1) for x in cast(Iterable[Any], value)]
        return f"[{', '.join(str(x) for x in parts)}]"
    if isinstance(value, dict):
        items = cast(Mapping[Any, Any], value).items()
        return f"{{{', '.join(sorted(f'{k!r}: {_shown(x, depth + 1)}' for k, x in items if isinstance(k, str)))}}}"
    if isinstance(value, type | types.FunctionType | types.ModuleType | nn.Module) or _is_library(value):
        return None
    held = getattr(value, "__dict__", None)  # a namespace of options
    return _shown(dict(cast(dict[str, Any], held)), depth + 1) if isinstance(held, dict) else None
