"""Whose cost `odecheck cost` measures when nobody brings a subject: every engine, on problems of the catalogue."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, cast

from odecheck_reference import Problem, catalogue

from odecheck import engines
from odecheck.conformance.libraries import libraries
from odecheck.engines.base import Engine
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

NAMES = ("tanh network", "second order", "heavy ball", "adam")
RTOL = 1e-3


@cache
def subjects() -> tuple[Subject, ...]:
    """dopri5 with every engine, each with the adaptive solver of its own library where it has one.

    Engines are what the files of `engines` hold, or make without arguments; a file whose library is not installed has
    none.
    """
    found: dict[str, Subject] = {}
    for name in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."):
        try:
            module = importlib.import_module(name.name)
        except ImportError:
            continue
        solver = _solver(module)
        for engine in _engines(module):
            found.setdefault(engine.name, Subject(SHIPPED, solver, engine))
    return tuple(found.values())


# engine → methods of order five and eight that it has; what lands ends its steps on the outputs
SETTINGS = {
    "torchdiffeq backprop": ("dopri5", "dopri8"),
    "torchdiffeq adjoint": ("dopri5", "dopri8"),
    "torchdiffeq seminorm adjoint": ("dopri5",),
    "odecheck.odeint": ("dopri5", "dopri8"),
    "odecheck.discrete": ("dopri5", "dopri8"),
    "torchode AutoDiff": ("dopri5", "tsit5"),
    "torchode Backsolve": ("dopri5",),
    "torchode JointBacksolve": ("dopri5",),
    "torchdyn autograd": ("dopri5", "tsit5"),
    "torchdyn adjoint": ("dopri5", "tsit5"),
    "torchdyn interpolated adjoint": ("dopri5",),
    "diffrax RecursiveCheckpoint": ("dopri5", "tsit5"),
    "diffrax Direct": ("dopri5",),
    "scipy solve_ivp": ("RK45", "DOP853"),
}
LANDS = ("torchdiffeq", "torchdyn", "diffrax")


@cache
def settings() -> tuple[Subject, ...]:
    """Every engine that is a library's way to derivatives, with settings of which one may be its best.

    Steps end on the outputs where a library can do that: interpolated outputs are less precise, and so are derivatives
    of steps beyond the last time. Leaves out what differs in nothing that is measured, or is known to be wrong.
    """
    found: list[Subject] = []
    for subject in subjects():
        for method in SETTINGS.get(subject.engine.name, ()):
            land = subject.engine.name.startswith(LANDS)
            solver = replace(cast(Adaptive, subject.solver), method=method, land=land)
            found.append(replace(subject, solver=solver))
    return tuple(found)


def missing() -> tuple[str, ...]:
    """The libraries whose engines are among them and that are not installed."""
    return tuple(library.name for library in libraries() if not library.installed)


def _own(module: ModuleType) -> list[Any]:
    return [x for x in vars(module).values() if getattr(x, "__module__", None) == module.__name__]


def _solver(module: ModuleType) -> Adaptive:
    kinds = [x for x in _own(module) if isinstance(x, type) and issubclass(x, Adaptive)]
    for method in ("dopri5", "RK45"):  # one formula by two names
        for kind in kinds:
            if method in kind.METHODS:
                return kind(method, rtol=RTOL)
    return Adaptive("dopri5", rtol=RTOL)


def _engines(module: ModuleType) -> list[Engine]:
    named = [x for name, x in vars(module).items() if name.isupper() and isinstance(x, Engine)]
    for make in _own(module):
        if getattr(make, "__name__", "")[:1].isupper() and callable(make) and not isinstance(make, type):
            try:
                made = make()
            except (TypeError, ImportError):  # it takes arguments, or its library is not there
                continue
            named += [made] if isinstance(made, Engine) else []
    return named


@cache
def problems() -> tuple[Problem, ...]:
    """Plain, second-order, heavy-ball and Adam fields; their integral terms are left out."""
    return tuple(p.with_(running=None) for p in catalogue.full() if p.name in NAMES)
