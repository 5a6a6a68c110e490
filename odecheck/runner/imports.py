"""A user's own module, by its name or its file: it is code, and run; what it raises is said in words."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from odecheck.errors import BadInput
from odecheck.foreign import first_line, said


def imported(target: str, *, usual: str = "subjects", command: str = "odecheck verify") -> tuple[Any, ModuleType]:
    """What a target names.

    Args:
        target: "package.module:name" or "path/to/file.py:name".
        usual: The name where there is none.
        command: What takes such a target, for what to type.

    Returns:
        The object, and the module that it stands in.

    Raises:
        BadInput: There is none, or its module does not import.
    """
    path, _, name = target.rpartition(":") if ":" in target else (target, "", usual)
    module = (_from_file if path.endswith(".py") else _from_name)(path, f"{command} {{}}:{name}".format)
    value: Any = module
    for part in name.split("."):
        if not _has(value, part):
            close = difflib.get_close_matches(part, [n for n in dir(value) if not n.startswith("_")])
            raise BadInput(
                f"{path} has no {part!r}",
                "a misspelt name" + (f"; close to it: {', '.join(close)}" if close else ""),
                f"{command} {path}:{close[0] if close else 'NAME'}",
            )
        value = getattr(value, part)
    return value, module


def _has(value: Any, part: str) -> bool:
    try:
        return hasattr(value, part)
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"asked for {part!r} it raised {said(error)}", "a property of yours", "the name of something else"
        ) from error


@contextmanager
def without_end() -> Generator[None]:
    """While a user's module is read, `os._exit` is an exception as `sys.exit` is: nothing would be verified.

    Yields:
        Nothing.
    """
    before = os._exit

    def end(status: int = 0) -> NoReturn:
        raise SystemExit(f"os._exit({status})")

    os._exit = end
    try:
        yield
    finally:
        os._exit = before


def _from_file(text: str, typed: Callable[[object], str]) -> ModuleType:
    try:
        path = Path(text).resolve()
    except (OSError, RuntimeError) as error:  # links that go in a circle
        raise BadInput(f"{text}: {first_line(error)}", "a link to itself", "the path of the file itself") from error
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, near)
        raise BadInput(
            f"there is no file {text}",
            "another folder, or a misspelt name" + (f"; close to it: {', '.join(close)}" if close else ""),
            typed(Path(text).with_name(close[0]) if close else "path/to/file.py"),
        )
    # imported under its own name from its own folder, so that other processes find it the same way
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = _loaded(path.stem, text, typed)
    if Path(module.__file__ or "").resolve() != path:
        raise BadInput(
            f"{text} cannot be imported as {path.stem!r}: another module has this name ({module.__file__})",
            "a file named like a module of Python or of an installed package",
            f"mv {text} {path.with_name('my_' + path.name).name}",
        )
    return module


def _from_name(name: str, typed: Callable[[object], str]) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return _loaded(name, name, typed)


def _loaded(name: str, shown: str, typed: Callable[[object], str]) -> ModuleType:
    try:
        with without_end():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not missing or not (name == missing or name.startswith(missing + ".")):
            raise BadInput(
                f"{shown} does not import: {error}",
                "a package that is not installed here",
                f"pip install {missing.partition('.')[0]}",
            ) from error
        close = _near(name, missing)
        raise BadInput(
            f"there is no module {missing!r}",
            "a misspelt name, or another working folder" + (f"; close to it: {', '.join(close)}" if close else ""),
            typed(close[0] if close else "path/to/file.py"),
        ) from error
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"{shown} does not import: {said(error)}",
            "an error at the top level of the file, or an end of the process there",
            f"python {shown} to see where" if shown.endswith(".py") else f"python -c 'import {name}' to see where",
        ) from error


def _near(name: str, missing: str) -> list[str]:
    """Modules beside the missing one with a similar name."""
    import pkgutil

    parent, _, last = missing.rpartition(".")
    paths = list(getattr(sys.modules.get(parent), "__path__", ())) if parent else [str(Path.cwd())]
    found = difflib.get_close_matches(last, [m.name for m in pkgutil.iter_modules(paths)])
    rest = name[len(missing) :]
    return [f"{parent}.{f}{rest}" if parent else f"{f}{rest}" for f in found]
