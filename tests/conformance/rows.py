"""A library that is declared for tests, and a record of one of its cases."""

from __future__ import annotations

from functools import cache

from odecheck import SHIPPED, Subject
from odecheck.conformance.plan import claims
from odecheck.engines.library import Asked, Known, Library
from odecheck.engines.scipy import ScipyEngine, SolveIvp
from odecheck.problem_sets.conformance import network
from odecheck.record import Record
from odecheck.runner.case import Case

WAY = Asked(SolveIvp("RK45", rtol=1e-7), ScipyEngine(), "solve_ivp", "RK45")
SAMPLE = Library(
    "sample",
    "scipy",
    ("1", "2"),
    lambda release, folder: [WAY],
    (Known("a reason", claims=("SOL-2",), methods=("RK*",), versions=("1",), problems=("small*",)),),
)


@cache
def record_of_a_solution() -> Record:
    """SOL-2 of the small network, by WAY."""
    (claim,) = (c for c in claims("solution") if c.id == "SOL-2")
    return Case(Subject(SHIPPED, WAY.solver, WAY.engine), network(), claim).run()
