"""What `odecheck verify` asks about when nobody brings a subject of their own: subjects and problems of each tier."""

from __future__ import annotations

from odecheck_reference import Problem, catalogue

from odecheck.engines.base import Engine
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.solvers import ADAPTIVE, FIXED_STEP, Adaptive, FixedStep, Solver
from odecheck.subject import SHIPPED, Subject

TIERS = ("quick", "full")

# What torchdiffeq 0.2.5 is known to get wrong, found by these very claims. Strict: the day it is mended, the run fails.
STEP_TIMES = (
    "backpropagation through a fixed-step solve gives wrong derivatives in the times: the grid of steps is not "
    "differentiated as it moves with them; the adjoint gets them right"
)
QUARTIC = (
    "outputs between steps, the last one included, come from an interpolant of degree four, so the error falls as "
    "tolerance^(5/8) and not in proportion; land=True avoids it"
)
MIDPOINT = (
    "the middle value of bosh3's interpolant is of second order only, so outputs between steps lose one order and the "
    "error falls as tolerance^(2/3); land=True avoids it"
)
DIVERGES = (
    "the default order of twelve makes explicit Adams steps unstable at any step that is of use: the error grows as "
    "the step shrinks"
)

# rtol or step at which a method of each order costs about the same and refines twice
_RTOL = {2: 1e-5, 3: 1e-6, 5: 1e-8, 8: 1e-9}
_STEP = {1: 0.01, 2: 0.02, 3: 0.05, 4: 0.05}


def subjects(tier: str = "quick") -> tuple[Subject, ...]:
    """The shipped subjects of a tier; each finds its module by the field of the problem.

    Raises KeyError for another name than those of TIERS.
    """
    return {"quick": _quick, "full": _full}[tier]()


def _quick() -> tuple[Subject, ...]:
    return (
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Backprop()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint()),
        Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop(), expected_failures={"NODE-3": STEP_TIMES}),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete()),
    )


def _full() -> tuple[Subject, ...]:
    """Every method of torchdiffeq with both of its derivatives, and odecheck's own engines."""
    found = []
    for method, order in ADAPTIVE.items():
        for engine in (Backprop(), Adjoint()):
            known = {"dopri8": {"SOL-5": QUARTIC}, "bosh3": {"SOL-5": MIDPOINT}}.get(method, {})
            found.append(Subject(SHIPPED, Adaptive(method, rtol=_RTOL[order]), engine, expected_failures=known))
    for method, order in FIXED_STEP.items():
        for engine in (Backprop(), Adjoint()):
            known = {"NODE-3": STEP_TIMES} if engine.target == "steps" else {}
            if method == "explicit_adams":
                known = {**known, "SOL-3": DIVERGES}
            found.append(Subject(SHIPPED, FixedStep(method, step=_STEP[order]), engine, expected_failures=known))
    return (
        *found,
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-10, land=True), Backprop()),
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-10, land=True), Adjoint()),
        Subject(SHIPPED, Adaptive("scipy_solver", rtol=1e-8), Adjoint()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Closed()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete()),
    )


def problems(tier: str = "quick") -> tuple[Problem, ...]:
    """The catalogue's problems of a tier. Raises KeyError for another name than those of TIERS."""
    return catalogue.TIERS[tier]()


def for_modules() -> tuple[tuple[Solver, Engine], ...]:
    """How a plain module is verified: solver and engine of each subject."""
    return (Adaptive("dopri5", rtol=1e-8), Backprop()), (Adaptive("dopri5", rtol=1e-8), Adjoint())
