"""All solver libraries: those declared in the files beside this one, those that other packages bring, and a file's own.

A file of `odecheck/engines` that has a `LIBRARY` declares one. Another package names its own in its metadata, as an
entry point of the group `odecheck.engines`: a `Library`, or a module with a `LIBRARY`. A file that is typed on the
command line is `add`ed to those of the process.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from odecheck import engines
from odecheck.errors import BadInput

from .base import Engine
from .library import Library

GROUP = "odecheck.engines"


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        libraries: all of them, in their order.
        troubles: what is to be said of entry points that do not import.
    """

    libraries: tuple[Library, ...]
    troubles: tuple[str, ...] = ()


def libraries() -> tuple[Library, ...]:
    """All of them, by their `order` and then by name, whether they are installed or not.

    Warns of an entry point that does not import; the others are there.

    Returns:
        The declarations.

    Raises:
        BadInput: a declaration that is wrong: one that is no `Library`, two of one name, an engine that two declare,
            or one that nobody does.
    """
    return found().libraries


def library_of(engine: Engine) -> Library | None:
    """The library that declares an engine, or nothing.

    An engine that is a declared one at another release of its library says which in `declared_name`.
    """
    return _by_engine().get(declared_name(engine))


def declared_name(engine: Engine) -> str:
    """The name that an engine is declared with."""
    return getattr(engine, "declared_name", "") or engine.name


@cache
def _by_engine() -> dict[str, Library]:
    return {one.engine.name: library for library in libraries() for one in library.engines}


@cache
def found() -> Found:
    """What `libraries` finds, and what it warns of. Looked for once in a process."""
    brought, troubles = _brought()
    homes = [*_files(), *brought]
    homes += [home for home in _added if all(home.library is not one.library for one in homes)]
    declared = [(home.where, _checked(home)) for home in homes if home.declares]
    _one_of_each(declared)
    known = {one.engine.name for _, library in declared for one in library.engines}
    for home in homes:
        _all_declared(home, known)
    ordered = sorted((library for _, library in declared), key=lambda library: (library.order, library.name))
    return Found(tuple(ordered), troubles)


def add(where: str, library: Any, module: ModuleType | None = None) -> Library:
    """Have a library among those of this process that no entry point names: of a file that somebody typed.

    Args:
        where: where it is declared, for messages.
        library: what is declared there.
        module: where it stands, whose other engines have to be declared too.

    Returns:
        The library.

    Raises:
        BadInput: it is none, or it or one of its engines has the name of another.
    """
    home = _Home(where, library, module)
    checked = _checked(home)
    if any(checked is one for one in libraries()):
        return checked
    _added.append(home)
    _forget()
    try:
        libraries()
    except BadInput:
        _added.remove(home)
        _forget()
        raise
    return checked


def added() -> dict[str, Library]:
    """The libraries that were added, by where they are declared."""
    return {home.where: home.library for home in _added}


def _forget() -> None:
    found.cache_clear()
    _by_engine.cache_clear()


@dataclass(frozen=True)
class _Home:
    """Where a library may be declared: a module, or an entry point. declares: whether it has to be, or is."""

    where: str
    library: Any
    module: ModuleType | None
    declares: bool = True


# in the order in which they were added
_added: list[_Home] = []


def _files() -> list[_Home]:
    """The modules of this folder."""
    homes: list[_Home] = []
    for info in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."):
        names = vars(importlib.import_module(info.name))
        where = f"odecheck/engines/{info.name.rpartition('.')[2]}.py"
        homes.append(_Home(where, names.get("LIBRARY"), sys.modules[info.name], "LIBRARY" in names))
    return homes


def _brought() -> tuple[list[_Home], tuple[str, ...]]:
    """What entry points name, and what is to be said of those that do not import."""
    homes: list[_Home] = []
    troubles: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        where = f"the entry point {point.name} = {point.value}"
        try:
            named = point.load()
        except BadInput:
            raise
        except Exception as reason:  # whatever the import of somebody else's package raises
            said = f"{type(reason).__name__}: {reason}".splitlines()[0]
            troubles.append(
                f"{where} of the group {GROUP} does not import and is left out: {said}. What to type: "
                f'python -c "import {point.module}", which says more, or pip uninstall the package that has it'
            )
            warnings.warn(troubles[-1], stacklevel=2)
            continue
        module = named if isinstance(named, ModuleType) else None
        homes.append(_Home(where, vars(module).get("LIBRARY") if module else named, module))
    return homes, tuple(troubles)


def _engines_of(module: ModuleType | None) -> list[Engine]:
    """The engines among a module's names."""
    values: Iterable[Any] = vars(module).values() if module else ()
    return [x for x in values if not isinstance(x, type | ModuleType) and isinstance(x, Engine)]


def _checked(home: _Home) -> Library:
    if isinstance(home.library, Library):
        return home.library
    seen = "no LIBRARY" if home.library is None else f"a {type(home.library).__name__} as LIBRARY"
    raise BadInput(
        f"{home.where} has {seen}, and not an odecheck.engines.library.Library",
        "the declaration was forgotten, or the name is bound to something else",
        "LIBRARY = Library(name, package, tested, asks, engines=(Declared(ENGINE), ...))",
    )


def _one_of_each(declared: list[tuple[str, Library]]) -> None:
    """Raises BadInput for two libraries of one name, or an engine's name that two declare."""
    homes: dict[tuple[str, str], str] = {}
    for where, library in declared:
        for what, name in (("library", library.name), *(("engine", one.engine.name) for one in library.engines)):
            before = homes.setdefault((what, name), where)
            if before != where:
                raise BadInput(
                    f"{before} and {where} both declare the {what} {name!r}",
                    "a file that was copied, or a package that brings a library that odecheck has already",
                    f"another name for one {what} of the two, or pip uninstall the package",
                )


def _all_declared(home: _Home, known: set[str]) -> None:
    """Raises BadInput for an engine that nobody declares, and so nobody would use."""
    for engine in _engines_of(home.module):
        if engine.name not in known:
            raise BadInput(
                f"{home.where} has the engine {engine.name!r}, which no LIBRARY names: nobody would use it",
                "an engine was added, and not its line in the declaration",
                "Declared(ENGINE) among the engines of its LIBRARY, or delete the engine",
            )
