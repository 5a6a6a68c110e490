"""Solver functions, intercepted in themselves: every reference to one, wherever it is held, reaches the listener.

The *code* of the function object is exchanged, and not a name in a module: closures, default arguments, class
attributes, partials and copies of a library in somebody's own project all lead to the same object.
"""

from __future__ import annotations

import gc
import inspect
import sys
import types
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Any

from .more_libraries import MORE
from .solver_calls import ADAPTERS, Adapter

# wrappers around one function, of which each says what it wraps
DEEPEST = 8
# (adapter, the function as it was, the function, args, kwargs) → its result
Listener = Callable[[Adapter, types.FunctionType, types.FunctionType, tuple[Any, ...], dict[str, Any]], Any]


def _door(*args: Any, _reached: Callable[..., Any], **kwargs: Any) -> Any:
    return _reached(*args, **kwargs)


class _Intercepted:
    """One function whose code is exchanged until `restore`."""

    def __init__(self, function: types.FunctionType, adapter: Adapter) -> None:
        self.function = function
        self.original = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        self.original.__kwdefaults__ = function.__kwdefaults__
        self.original.__module__ = function.__module__
        self.had_signature = "__signature__" in vars(function)
        if not self.had_signature:
            function.__signature__ = inspect.signature(function)  # pyright: ignore[reportFunctionMemberAccess]

        def reached(*args: Any, **kwargs: Any) -> Any:
            return _listeners[-1](adapter, self.original, function, args, kwargs)

        function.__code__, function.__defaults__ = _door.__code__, None
        function.__kwdefaults__ = {"_reached": reached}

    def restore(self) -> None:
        self.function.__code__ = self.original.__code__
        self.function.__defaults__ = self.original.__defaults__
        self.function.__kwdefaults__ = self.original.__kwdefaults__
        if not self.had_signature:
            del self.function.__signature__  # pyright: ignore[reportFunctionMemberAccess]


_listeners: list[Listener] = []
_intercepted: dict[int, _Intercepted] = {}


def known_globals() -> set[int]:
    """The identities of the globals of the intercepted functions: a solver's own modules."""
    return {id(one.function.__globals__) for one in _intercepted.values()}


@contextmanager
def intercepted(listener: Listener, adapters: Sequence[Adapter] = (*ADAPTERS, *MORE)) -> Generator[None]:
    """Sends every call of a known solver function to the listener, also of libraries that are imported inside."""
    outermost = not _listeners
    finder = _Imports(adapters)
    _listeners.append(listener)
    try:
        if outermost:
            _take([f for f in gc.get_objects() if type(f) is types.FunctionType], adapters)
            sys.meta_path.insert(0, finder)
        yield
    finally:
        _listeners.remove(listener)
        if outermost:
            with suppress(ValueError):
                sys.meta_path.remove(finder)
            for one in _intercepted.values():
                one.restore()
            _intercepted.clear()


def _take(functions: Sequence[types.FunctionType], adapters: Sequence[Adapter]) -> None:
    for function in functions:
        if function.__closure__ or id(function) in _intercepted:
            continue
        for adapter in adapters:
            if adapter.knows(function):
                _intercepted[id(function)] = _Intercepted(function, adapter)
                break


class _Imports:
    """Looks at each module of Python source that is imported, once it has run, for more solver functions."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self.adapters = adapters

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What Python would find, with its loader told to look afterwards."""
        spec = PathFinder.find_spec(name, path, target)
        loader = None if spec is None else spec.loader
        if type(loader) is not SourceFileLoader:
            return None
        run = loader.exec_module

        def run_and_look(module: types.ModuleType) -> None:
            run(module)
            with suppress(Exception):
                if _listeners:
                    _take(_functions_of(module), self.adapters)

        loader.exec_module = run_and_look
        return spec


def _unwrapped(value: Any) -> Any:
    """What a wrapper of a function says that it wraps, through a few of them; whatever has no such word, as it is."""
    for _ in range(DEEPEST):
        with suppress(Exception):  # of somebody's __getattr__
            if hasattr(type(value), "__wrapped__") or "__wrapped__" in vars(value):
                value = value.__wrapped__
                continue
        break
    return value


def _functions_of(module: types.ModuleType) -> list[types.FunctionType]:
    """The functions of a module, also inside of wrappers (equinox.filter_jit), and the methods of its classes."""
    inside = [x for value in vars(module).values() if (x := _unwrapped(value)) is not value]
    found = [x for x in [*vars(module).values(), *inside] if isinstance(x, types.FunctionType)]
    classes = [x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__]
    return found + [x for c in classes for x in vars(c).values() if isinstance(x, types.FunctionType)]
