"""What `odecheck verify` asks about when nobody brings a subject of their own: subjects and problems of each tier."""

from __future__ import annotations

from odecheck_reference import Problem, catalogue

from .engines.base import Engine
from .engines.torchdiffeq import Adjoint, Backprop
from .solvers import Adaptive, FixedStep, Solver
from .subject import SHIPPED, Subject

TIERS = ("quick", "full")


def subjects(tier: str = "quick") -> tuple[Subject, ...]:
    """The shipped subjects of a tier; each finds its module by the field of the problem."""
    quick = (
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint()),
        Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop()),
    )
    if tier == "quick":
        return quick
    return (
        *quick,
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-9), Backprop()),
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-9), Adjoint()),
        Subject(SHIPPED, FixedStep("midpoint", step=0.02), Backprop()),
    )


def problems(tier: str = "quick") -> tuple[Problem, ...]:
    """The catalogue's problems of a tier. Raises KeyError for another name than those of TIERS."""
    return catalogue.TIERS[tier]()


def for_modules() -> tuple[tuple[Solver, Engine], ...]:
    """How a plain module is verified: solver and engine of each subject."""
    return (Adaptive("dopri5", rtol=1e-7), Backprop()), (Adaptive("dopri5", rtol=1e-7), Adjoint())
