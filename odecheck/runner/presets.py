"""What `odecheck verify` asks about when nobody brings a subject of their own: subjects and problems of each tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from odecheck_reference import Problem, catalogue
from odecheck_reference.losses import SquaredError

from odecheck.engines.base import Engine
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.scipy import SOLVE_IVP, SolveIvp
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.problem_sets.families import draw
from odecheck.solvers import ADAPTIVE, FIXED_STEP, Adaptive, FixedStep, Solver
from odecheck.subject import SHIPPED, Subject

from .tiers import Tier

TIERS = tuple(map(str, Tier))

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
_RTOL = {2: 1e-5, 3: 1e-6, 5: 1e-8, 8: 1e-10}
_STEP = {1: 0.01, 2: 0.02, 3: 0.05, 4: 0.05}
# several steps: its error falls as a power from a smaller step on
_STEP_OF = {"implicit_adams": 0.025, "fixed_adams": 0.025}


def subjects(tier: str = "quick") -> tuple[Subject, ...]:
    """The shipped subjects of a tier; each finds its module by the field of the problem.

    Args:
        tier: "quick" or "full".

    Returns:
        Torchdiffeq's derivatives and odecheck's own, with what is known to fail: four, or every method.

    Raises:
        KeyError: Another name than those of TIERS.
    """
    return {"quick": _quick, "full": _full}[tier]()


def _quick() -> tuple[Subject, ...]:
    return (
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint()),
        Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop(), expected_failures={"NODE-3": STEP_TIMES}),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete()),
    )


def _full() -> tuple[Subject, ...]:
    """Every method of torchdiffeq with both of its derivatives, and odecheck's own engines."""
    found = list[Subject]()
    for method, order in ADAPTIVE.items():
        for engine in (Backprop(), Adjoint()):
            known = {"dopri8": {"SOL-5": QUARTIC}, "bosh3": {"SOL-5": MIDPOINT}}.get(method, {})
            found.append(Subject(SHIPPED, Adaptive(method, rtol=_RTOL[order]), engine, expected_failures=known))
    for method, order in FIXED_STEP.items():
        for engine in (Backprop(), Adjoint()):
            known = {"NODE-3": STEP_TIMES} if engine.target == "steps" else {}
            if method == "explicit_adams":
                known = {**known, "SOL-3": DIVERGES}
            solver = FixedStep(method, step=_STEP_OF.get(method, _STEP[order]))
            found.append(Subject(SHIPPED, solver, engine, expected_failures=known))
    return (
        *found,
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-10, land=True), Backprop()),
        Subject(SHIPPED, Adaptive("dopri8", rtol=1e-10, land=True), Adjoint()),
        Subject(SHIPPED, Adaptive("scipy_solver", rtol=1e-8), Adjoint()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Closed()),
        Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Discrete()),
    )


def problems(tier: str = "quick") -> tuple[Problem, ...]:
    """The shipped problems of a tier.

    Args:
        tier: "quick" or "full".

    Returns:
        Problems of the reference's catalogue.

    Raises:
        KeyError: Another name than those of TIERS.
    """
    return catalogue.TIERS[tier]()


# what a method can get wrong: a field that depends on time, a network, times that run backwards
_OF_METHODS = ("linear with time", "tanh network", "forced pendulum, backwards")
# what is left to ask of a second derivative through the same method: a nonlinear field of time, backwards
_OF_DERIVATIVES = _OF_METHODS[-1:]
# what is decided of a method whose errors are 1e-5 and more; claims on derivatives look for defects of 1e-7
_OF_COARSE = ("SOL-3", "SOL-4", "SOL-5", "SOL-9", "NODE-6")
# a solution that grows a thousandfold: classical Runge-Kutta decides nothing there at a step that is of use
_CHAOTIC = ("Lorenz",)


def _is_coarse(solver: Solver) -> bool:
    return solver.order < 4 or getattr(solver, "method", "") == "explicit_adams"


def _asked_of(subject: Subject, among: Sequence[Subject]) -> tuple[str, ...]:
    """Names of the problems that a method is asked about, by its first derivative and by others."""
    first = next(one for one in among if one.solver.name == subject.solver.name)
    return _OF_METHODS if subject is first else _OF_DERIVATIVES


def pairs(tier: str = "quick") -> tuple[tuple[Subject, Problem], ...]:
    """The shipped cases of a tier: what decides something, and no product of lists where that is long.

    In the full tier what a problem asks (its twin, its stiffness, its chaos, its parts) is asked with every derivative
    by dopri5, and with fixed steps by rk4. What a method gets wrong does not wait for a certain problem, nor for a
    certain derivative: every method is asked about three problems, and with its second derivative about one. Coarse
    methods are asked for what they decide: see `beside`.

    Args:
        tier: "quick" or "full".

    Returns:
        (subject, problem), the subject outermost.

    Raises:
        KeyError: Another name than those of TIERS.
    """
    found: list[tuple[Subject, Problem]] = []
    every = subjects(tier)
    for subject in every if tier == "quick" else [one for one in every if not _is_coarse(one.solver)]:
        method, few = getattr(subject.solver, "method", ""), _asked_of(subject, every)
        everywhere = tier == "quick" or method == "dopri5" or (method == "rk4" and few is _OF_METHODS)
        none = _CHAOTIC if method == "rk4" and tier != "quick" else ()
        found += [(subject, one) for one in problems(tier) if one.name in few or (everywhere and one.name not in none)]
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Beside:
    """What is asked beside every claim on every subject and problem: some claims, where others decide nothing.

    Attributes:
        subject: The cheapest right one that decides them, or a coarse method.
        problem: The smallest one that does.
        claims: Their ids.
    """

    subject: Subject
    problem: Problem
    claims: tuple[str, ...]


_STEPS = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete())
_FLOW = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-6, land=True), Closed())
# its memory is the question, and steps three times as short twice over are what it needs
_MEMORY = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-3), Closed())


@cache
def _at_its_end(family: str) -> Problem:
    """A drawn problem that is seen at its end alone: half a second where four times take two."""
    drawn = draw(family)
    loss = drawn.loss
    assert isinstance(loss, SquaredError)
    ends = [0, -1]
    ended = replace(loss, weight=loss.weight[ends], target=loss.target[ends])
    return drawn.with_(name=f"{drawn.name}, at its end", ts=drawn.ts[ends], loss=ended)


def beside(tier: str = "quick") -> tuple[Beside, ...]:
    """What is asked of some subjects and problems of a tier, and not all claims: the cases that decide something.

    Those claims of the three papers that no subject and problem of the tier decides; in the full tier also the order,
    the tolerance and the repetition of coarse methods, with both derivatives.

    Args:
        tier: "quick" or "full".

    Returns:
        A few subjects and problems with the claims that are asked of them.

    Raises:
        KeyError: Another name than those of TIERS.
    """
    adam = ("ADAM-1", "ADAM-2", "ADAM-2.1", "ADAM-3", "ADAM-6")
    of_velocity = (
        Beside(_STEPS, draw("Adam, equal rates"), ("ADAM-4", "ADAM-5")),
        Beside(_STEPS, draw("Adam, published rates"), ("ADAM-5",)),
        Beside(_STEPS, _at_its_end("heavy ball, linear, damping of time"), ("HB-10",)),
    )
    of_papers = (
        Beside(_STEPS, _at_its_end("Adam of width 1"), adam),
        Beside(_STEPS, _at_its_end("generalised heavy ball of width 1"), ("HB-8",)),
        Beside(
            _FLOW,
            _at_its_end("network of width 1"),
            ("SNOPT-2", "SNOPT-3", "SNOPT-4", "SNOPT-10", "SNOPT-11"),
        ),
        Beside(_MEMORY, _at_its_end("network of width 1"), ("SNOPT-12",)),
    )
    return {"quick": (*of_papers, *of_velocity), "full": (*of_velocity, *_of_coarse())}[tier]


def _of_coarse() -> list[Beside]:
    coarse = [subject for subject in subjects("full") if _is_coarse(subject.solver)]
    named = [(one, problem) for one in coarse for problem in problems("full") if problem.name in _asked_of(one, coarse)]
    return [Beside(one, problem, _OF_COARSE) for one, problem in named]


def for_modules(*, implicit: bool = False, bent: float = 0.0) -> tuple[tuple[Solver, Engine], ...]:
    """How a plain module is verified.

    Args:
        implicit: Whether the field is too stiff for explicit steps: scipy's Radau solves it, which has no derivatives.
        bent: Of a field that bends again and again along its solution, the step of its adjoint; 0 of any other. The
            adjoint jumps at each bend, and adaptive steps shrink there to no avail: of a convolutional classifier they
            leave an error of 7e-4 in 9,350 evaluations, and classical Runge-Kutta steps 5e-4 in 1,024.

    Returns:
        Solver and engine of each subject.
    """
    if implicit:
        return ((SolveIvp("Radau", rtol=1e-9), SOLVE_IVP),)
    if bent:
        return (Adaptive("dopri5", rtol=1e-6), Backprop()), (FixedStep("rk4", step=bent), Adjoint())
    return (Adaptive("dopri5", rtol=1e-8), Backprop()), (Adaptive("dopri5", rtol=1e-8), Adjoint())
