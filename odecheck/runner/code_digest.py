"""What code a verdict belongs to: the digest of a unit of work, and of a claim.

A kept verdict is one of the source that was judged. What counts: the files of the classes and functions that make up
the field, its factory, the solver, the engine, the problem's own field and the claim, and what these files use of the
same project; the whole text of odecheck and of the reference; versions of packages whose code is used; parameters,
buffers and plain attributes of the module; the numbers of the loss.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import odecheck_reference
import torch
from torch import nn

from odecheck.claim import Claim
from odecheck.foreign import literal
from odecheck.foreign import said as words_of

from .case import Unit

# characters of the text of an attribute
LONGEST_SHOWN = 1_000_000
OWN = tuple(Path(str(package.__file__)).parent for package in (sys.modules["odecheck"], odecheck_reference))
INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_of_unit(unit: Unit) -> str:
    """The digest of everything but the claims that a unit's verdicts rest on.

    Args:
        unit: Its subject and problem; the module is made once, and nothing is solved.

    Returns:
        Twelve hexadecimal digits.
    """
    subject, problem = unit.subject, unit.problem
    try:
        module: object = subject.module(problem)
    except Exception as error:  # validation, or the record, says what is wrong with it
        module = words_of(error)
    things = [subject.field, subject.solver, subject.engine, problem.field, problem.loss, problem.running, module]
    parts = list(module.modules()) if isinstance(module, nn.Module) else []
    said = [*_texts([*things, *parts, *subject.around]), *map(_plain, [*things[:-1], *parts])]
    if isinstance(module, nn.Module):
        said += [f"{name} {_numbers(x)}" for name, x in (*module.named_parameters(), *module.named_buffers())]
    return _digest(said)


def code_of_claim(claim: Claim) -> str:
    """The digest of a claim's own code, its mutants left out.

    Args:
        claim: Of odecheck or of anybody.

    Returns:
        Twelve hexadecimal digits.
    """
    return _digest([*_texts([claim.statement, claim.predicted]), f"{claim.resolution} {claim.scale} {claim.expect}"])


def _digest(said: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:12]


def _texts(things: Iterable[object]) -> Iterator[str]:
    """The digests of files of the user's own that things come from, and the versions of packages."""
    yield _own()
    files, packages = set[Path](), set[str]()
    for thing in things:
        for module in _modules_of(thing):
            _gather(module, files, packages)
    yield from (f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sorted(files))
    yield from (f"{name} {_version(name)}" for name in sorted(packages))


@cache
def _own() -> str:
    """The text of odecheck and of its reference, as it was loaded."""
    files = [file for folder in OWN for file in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _modules_of(thing: object) -> Iterator[ModuleType]:
    """The Python modules in which a thing's function or class, and the classes that it inherits from, are defined."""
    kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
    for one in getattr(kind, "__mro__", (kind,)):
        module = sys.modules.get(getattr(one, "__module__", ""))
        if module is not None:
            yield module


def _gather(module: ModuleType, files: set[Path], packages: set[str]) -> None:
    """The file of a module and those of its project that it uses; of a package that is installed, its name."""
    name = getattr(module, "__file__", None)
    file = Path(name).resolve() if name else None
    if file is None or file in files or any(file.is_relative_to(folder) for folder in OWN):
        return
    if any(file.is_relative_to(folder) for folder in INSTALLED) or file.suffix != ".py":
        packages.add(module.__name__.partition(".")[0])
        return
    files.add(file)
    for value in list(vars(module).values()):
        other = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
        if isinstance(other, ModuleType):
            _gather(other, files, packages)


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _plain(thing: object) -> str:
    """What a thing holds besides its code: plain attributes, numbers, and what a function closes over."""
    held: dict[str, Any] = dict(getattr(thing, "__dict__", {}))
    if inspect.isfunction(thing):
        held |= dict(inspect.getclosurevars(thing).nonlocals)
    return f"{type(thing).__qualname__} " + " ".join(f"{k}={_shown(v)}" for k, v in sorted(held.items()))


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray | torch.Tensor):
        return _numbers(cast(object, value))
    if isinstance(value, nn.Module) or callable(value):
        return type(value).__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", literal(value, LONGEST_SHOWN))


def _numbers(x: object) -> str:
    array = x.detach().cpu() if isinstance(x, torch.Tensor) else x
    try:
        content = np.ascontiguousarray(array).tobytes()
    except TypeError:  # a dtype that numpy lacks
        content = repr(array).encode()
    return hashlib.sha256(content).hexdigest()[:12]
