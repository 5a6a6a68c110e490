"""Whose cost `odecheck cost` measures when nobody brings a subject: every engine, on problems of the catalogue."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import cast

from odecheck_reference import Problem, catalogue

from .. import engines
from ..engines.base import Engine
from ..solvers import Adaptive
from ..subject import SHIPPED, Subject

NAMES = ("tanh network", "second order", "heavy ball", "adam")


@cache
def every_engine() -> tuple[Engine, ...]:
    """An engine for each factory (a function without arguments, named like a class) in the files of `engines`.

    A file whose library is not installed has none.
    """
    found: dict[str, Engine] = {}
    for module in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."):
        try:
            contents = vars(importlib.import_module(module.name))
        except ImportError:
            continue
        for name, factory in contents.items():
            if name[:1].isupper() and callable(factory) and not isinstance(factory, type):
                made = _made(cast(Callable[[], object], factory), module.name)
                if made is not None:
                    found.setdefault(made.name, made)
    return tuple(found.values())


def _made(factory: Callable[[], object], module: str) -> Engine | None:
    if getattr(factory, "__module__", None) != module:
        return None
    try:
        engine = factory()
    except (TypeError, ImportError):  # it takes arguments, or its library is not there
        return None
    return engine if isinstance(engine, Engine) else None


def subjects() -> tuple[Subject, ...]:
    """dopri5 with every engine."""
    return tuple(Subject(SHIPPED, Adaptive("dopri5", rtol=1e-3), engine) for engine in every_engine())


@cache
def problems() -> tuple[Problem, ...]:
    """Plain, second-order, heavy-ball and Adam fields; their integral terms are left out."""
    return tuple(p.with_(running=None) for p in catalogue.full() if p.name in NAMES)
