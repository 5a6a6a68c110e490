"""From what a user types to what is verified: import strings, files and modules become (subject, problem) pairs."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from odecheck_reference import Problem
from torch import nn

from odecheck.errors import BadInput
from odecheck.subject import SHIPPED, Subject

from . import presets as shipped
from .own_fields import Pair, called, module_pairs
from .own_tolerance import at_tolerance


def pairs(
    targets: Sequence[str] = (),
    *,
    tier: str = "quick",
    state: str | None = None,
    times: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> list[Pair]:
    """The subjects and problems that a user's targets are.

    Args:
        targets: Import strings "package.module:name" or files "path/to/file.py:name"; of none, the shipped ones.
        tier: Of the shipped subjects and problems, where they are taken.
        state: An example state for a plain module, as typed: "[[1.0, 0.5]]".
        times: Times for a plain module, as typed.
        rtol: A relative tolerance in place of each subject's own; subjects of fixed steps are left out.
        atol: An absolute one; by default rtol / 100.
        method: An adaptive method of torchdiffeq in place of each subject's own.

    Returns:
        (subject, problem) pairs.

    Raises:
        BadInput: Something does not import, or is not a subject.
    """
    if rtol is not None or atol is not None or method is not None:
        return at_tolerance(pairs(targets, tier=tier, state=state, times=times), rtol, atol, method)
    if not targets:
        return [(s, p) for s in shipped.subjects(tier) for p in shipped.problems(tier)]
    examples = _typed("--state", state), _typed("--times", times)
    found: list[Pair] = []
    for target in targets:
        value, module = _imported(target)
        found += _Reading(target, module, tier, *examples).pairs(value)
    return found


def _typed(option: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise BadInput(
            f"{option} {text!r} is not a list of numbers",
            "quotes that the shell took away, or a missing bracket",
            f"{option} '[[1.0, 0.5]]'",
        ) from error


class _Reading:
    """One target: what the user's object is, and which problems belong to it."""

    def __init__(self, target: str, module: ModuleType, tier: str, state: Any, times: Any) -> None:
        self.target, self.module, self.tier, self.state, self.times = target, module, tier, state, times

    def pairs(self, value: Any) -> list[Pair]:
        if isinstance(value, nn.Module):
            return module_pairs(value, self._example(value), self._times(value), name=self._name(value))
        if isinstance(value, Subject):
            return [(value, problem) for problem in self._problems(value)]
        parts = list(cast(Iterable[Any], value)) if isinstance(value, list | tuple) else None
        thing = cast(object, value)
        if parts and isinstance(value, tuple) and _is_field(parts[0]) and 2 <= len(parts) <= 3:
            return module_pairs(*parts, name=self._name(parts[0]))
        if parts and isinstance(value, tuple) and len(parts) == 2 and isinstance(parts[0], Subject):
            subject, beside = parts[0], parts[1]
            if isinstance(beside, Problem):
                return [(subject, beside)]
            if not isinstance(beside, Subject):
                return [(subject, problem) for problem in cast(Iterable[Problem], beside)]
        if parts is not None:
            found = [pair for item in parts for pair in self.pairs(item)]
            if found:
                return found
        elif callable(thing) and not inspect.isclass(thing):
            return self.pairs(self._made(cast(Callable[[], Any], value)))
        raise BadInput(
            f"{self.target} is {type(thing).__name__}: {_short(value)}",
            "the name of something else, a class in place of an instance, or an empty list",
            "a Subject, a list of them, a list of (subject, problem), an nn.Module with an example state, or a "
            "function without arguments that returns one of these",
        )

    def _made(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            raise BadInput(
                f"{self.target}() raised {type(error).__name__}: {error}",
                "a function that takes arguments",
                "def subjects(): return [Subject(...)]",
            ) from error

    def _problems(self, subject: Subject) -> Iterable[Problem]:
        own = getattr(self.module, "problems", None)
        if own is not None:
            return self._made(own) if callable(own) else own
        if subject.field is SHIPPED:
            return shipped.problems(self.tier)
        raise BadInput(
            f"{self.target}: subject {subject.name!r} has a field of its own, and no problem comes with it",
            "a file with subjects and without problems",
            "problems = [Problem(...)] in the same file, or subjects = [(subject, problem)]; for a module without "
            "a numpy formula: subjects = odecheck.module_pairs(module, y0)",
        )

    def _example(self, module: nn.Module) -> Any:
        state = self.state if self.state is not None else getattr(module, "example_state", None)
        if state is None:
            raise BadInput(
                f"{self.target} is a module without an example state",
                "a module alone does not say what shape its state has",
                "--state '[[1.0, 0.5]]', or module.example_state = torch.tensor([[1.0, 0.5]]), or the "
                "pair (module, y0)",
            )
        return state

    def _times(self, module: nn.Module) -> Any:
        return self.times if self.times is not None else getattr(module, "example_times", None)

    def _name(self, module: Any) -> str:
        return f"{called(module)} of {self.target}"


def _is_field(thing: Any) -> bool:
    """A module, or a function of two arguments beside an example state."""
    return isinstance(thing, nn.Module) or (callable(thing) and not inspect.isclass(thing))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


def _imported(target: str) -> tuple[Any, ModuleType]:
    path, _, name = target.rpartition(":") if ":" in target else (target, "", "subjects")
    module = _from_file(path, name) if path.endswith(".py") else _from_name(path, name)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            close = difflib.get_close_matches(part, [n for n in dir(value) if not n.startswith("_")])
            raise BadInput(
                f"{path} has no {part!r}",
                "a misspelt name" + (f"; close to it: {', '.join(close)}" if close else ""),
                f"odecheck verify {path}:{close[0] if close else 'NAME'}",
            )
        value = getattr(value, part)
    return value, module


def _from_file(text: str, wanted: str) -> ModuleType:
    path = Path(text).resolve()
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, near)
        raise BadInput(
            f"there is no file {text}",
            "another folder, or a misspelt name" + (f"; close to it: {', '.join(close)}" if close else ""),
            f"odecheck verify {Path(text).with_name(close[0]) if close else 'path/to/file.py'}:{wanted}",
        )
    # imported under its own name from its own folder, so that other processes find it the same way
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = _loaded(path.stem, text, wanted)
    if Path(module.__file__ or "").resolve() != path:
        raise BadInput(
            f"{text} cannot be imported as {path.stem!r}: another module has this name ({module.__file__})",
            "a file named like a module of Python or of an installed package",
            f"mv {text} {path.with_name('my_' + path.name).name}",
        )
    return module


def _from_name(name: str, wanted: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return _loaded(name, name, wanted)


def _loaded(name: str, shown: str, wanted: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise BadInput(
                f"{shown} does not import: {error}", "a package that is not installed here", f"pip install {error.name}"
            ) from error
        close = _near(name, error.name)
        raise BadInput(
            f"there is no module {error.name!r}",
            "a misspelt name, or another working folder" + (f"; close to it: {', '.join(close)}" if close else ""),
            f"odecheck verify {close[0] if close else 'path/to/file.py'}:{wanted}",
        ) from error
    except Exception as error:
        raise BadInput(
            f"{shown} does not import: {type(error).__name__}: {error}",
            "an error at the top level of the file",
            f"python -c 'import {name}' to see where",
        ) from error


def _near(name: str, missing: str) -> list[str]:
    """Modules beside the missing one with a similar name."""
    import pkgutil

    parent, _, last = missing.rpartition(".")
    paths = list(importlib.import_module(parent).__path__) if parent else [str(Path.cwd())]
    found = difflib.get_close_matches(last, [m.name for m in pkgutil.iter_modules(paths)])
    rest = name[len(missing) :]
    return [f"{parent}.{f}{rest}" if parent else f"{f}{rest}" for f in found]
