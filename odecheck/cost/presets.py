"""Whose cost `odecheck cost` measures when nobody brings a subject: every engine, on problems of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from odecheck_reference import Problem, catalogue

from odecheck.engines.found import libraries
from odecheck.engines.library import Library
from odecheck.subject import SHIPPED, Subject

NAMES = ("tanh network", "second order", "heavy ball", "adam")
RTOL = 1e-3


def _by_name() -> list[Library]:
    return sorted(libraries(), key=lambda library: library.name)


@cache
def subjects() -> tuple[Subject, ...]:
    """Every engine that is declared, with the usual adaptive method of its library."""
    return tuple(
        Subject(SHIPPED, library.adaptive(library.usual, rtol=RTOL), one.engine)
        for library in _by_name()
        for one in library.engines
    )


@cache
def settings() -> tuple[Subject, ...]:
    """Every engine that is a library's way to derivatives, with settings of which one may be its best.

    Steps end on the outputs where a library can do that: interpolated outputs are less precise, and so are derivatives
    of steps beyond the last time. Leaves out what differs in nothing that is measured, or is known to be wrong.
    """
    return tuple(
        Subject(SHIPPED, replace(library.adaptive(method, rtol=RTOL), land=library.lands), one.engine)
        for library in _by_name()
        for one in library.engines
        for method in one.settings
    )


def missing() -> tuple[str, ...]:
    """The libraries whose engines are among them and that are not installed."""
    return tuple(library.name for library in libraries() if not library.installed)


@cache
def problems() -> tuple[Problem, ...]:
    """Plain, second-order, heavy-ball and Adam fields; their integral terms are left out."""
    return tuple(p.with_(running=None) for p in catalogue.full() if p.name in NAMES)
