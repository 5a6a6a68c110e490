"""The modules of a folder that declare something, found by looking into it: adding one is adding a file."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def declared(package: ModuleType, name: str, to_type: str) -> list[tuple[ModuleType, object]]:
    """Every module of a package, in the order of their names, with what it declares under `name`.

    Args:
        package: the folder's `__init__`.
        name: of the declaration.
        to_type: an example of it, for the message.

    Raises:
        TypeError: for a module without the declaration.
    """
    found: list[tuple[ModuleType, object]] = []
    for one in iter_modules(package.__path__, f"{package.__name__}."):
        module = import_module(one.name)
        if not hasattr(module, name):
            raise TypeError(
                f"{one.name} declares no {name}\n"
                f"  usual cause: a new file of {package.__name__}, or a helper that belongs elsewhere\n"
                f"  what to type: {to_type}"
            )
        found.append((module, getattr(module, name)))
    return found
