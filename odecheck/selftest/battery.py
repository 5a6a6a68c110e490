"""The battery: the cases that judge mutants. Small problems, subjects on odecheck's own engines, every claim.

A case counts against a mutant only where the right subject gets the verdict that the claim expects, so that a case
that says nothing about the right subject says nothing about a wrong one.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import odecheck_reference
import torch
from odecheck_reference import Problem, catalogue, flow, losses
from odecheck_reference.fields import Mlp

from odecheck.claim import Claim
from odecheck.claims import ALL, CONFORMANCE, EVERY, METHODS
from odecheck.engines.own import Closed, Discrete
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.problem_sets import conformance as posed
from odecheck.problem_sets.families import draw
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

Change = Callable[[Subject], Subject]
DECISIVE = (Verdict.HOLDS, Verdict.REFUTED)
# so tight that answers in float32 are the same on all rungs, and off: they would pass for truncation otherwise
CLOSED = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-9, land=True), Closed())
DISCRETE = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-10, land=True), Discrete())
NOT_LANDING = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-7), Closed())
FIXED = Subject(SHIPPED, FixedStep("rk4", step=1 / 16), Discrete())
ENOUGH = 5
CLAIMS = EVERY
# measured in bytes and in time: the mutants that these two refute keep what they need not, or do less than they say
UNASKED = ("SNOPT-12",)
GENERAL = ("SOL", "NODE", "SNOPT")
TEXTBOOK = ("forced pendulum, backwards", "augmented", "logistic", "Lotka-Volterra", "Van der Pol", "Lorenz")
FIELDS = ("SOL-1", "SOL-2", "NODE-2", "HB", "ADAM")
Plan = tuple[tuple[Subject, str, tuple[str, ...]], ...]
# (subject, problem, ids of claims begin with): what the papers state
PLAN: Plan = (
    (DISCRETE, "clocked", GENERAL),
    (FIXED, "on the grid", ("SOL", "NODE-1", "NODE-2", "NODE-3", "SNOPT-1")),
    (CLOSED, "clocked", ("NODE-1", "NODE-2", "NODE-3", "SNOPT")),
    (NOT_LANDING, "clocked", ("SOL-2", "SOL-6", "NODE-1")),
    (CLOSED, "entropy backwards", ("NODE-1", "NODE-2", "NODE-3")),
    (CLOSED, "on the grid", ("SNOPT-6", "SNOPT-7", "SNOPT-8", "SNOPT-9")),
    *((DISCRETE, name, ("SOL-1", "SOL-2", "NODE-2")) for name in TEXTBOOK),
    *(
        (DISCRETE, name, FIELDS)
        for name in (
            "second order",
            "gradient",
            "heavy ball, signs of the code",
            "heavy ball of a gradient",
            "generalised heavy ball, all of time",
            "Adam",
            "Adam, denominator of the code",
            "Adam, equal rates",
            "Adam, published rates",
        )
    ),
)
# what a library has to meet beyond that: of each kind of question one that costs no more than a second or two
OF_LIBRARIES: Plan = (
    (
        CLOSED,
        "small tanh network",
        ("DER-1", "DER-2", "DER-4", "DER-5", "DER-10", "DER-12", "SOL-13", "SOL-14", "SOL-15", "SOL-16", "USE-2"),
    ),
    (FIXED, "small tanh network", ("SOL-10", "SOL-11", "DER-3")),
    (CLOSED, "pendulum at rest", ("DER-7",)),
    (CLOSED, "switched", ("DER-9",)),
    (CLOSED, "pendulum, squared error", ("HES-8",)),
    (CLOSED, "clocked", ("OPT-1", "OPT-3", "FLOW-1")),
    (CLOSED, "on the grid", ("OPT-1", "OPT-2", "OPT-4", "OPT-5", "OPT-6", "OPT-7")),
    (FIXED, "on the grid", ("STEP-1", "STEP-2")),
    (FIXED, "small tanh network", ("STEP-1",)),
)


@dataclass(frozen=True)
class Case:
    """One claim on one subject and one problem of the battery."""

    claim: Claim
    subject: Subject
    problem: Problem

    @property
    def key(self) -> str:
        """Its name in a journal."""
        return f"{self.claim.id} | {self.subject.name} | {self.problem.name}"


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: its key.
        claim: the claim's id.
        verdict: of the claim.
        seconds: of processor time.
        message: of an error.
        expected: whether the verdict is that of a right subject; a false sentence that is refuted by another residual
            than the one that a right subject has is not.
    """

    case: str
    claim: str
    verdict: str
    seconds: float
    message: str = ""
    expected: bool = True


def problems() -> dict[str, Problem]:
    """The problems of the plan. A child that loads odecheck anew is handed these very objects."""
    field = Mlp(2, 2, (2,), time=True)
    rng = np.random.default_rng(7)
    theta = np.round(rng.normal(size=field.params) * 64) / 64
    y0 = np.array([[0.5, -0.75]])
    ts = np.array([0.25, 0.75, 1.125, 1.75])
    # no numbers of few bits, which float32 would keep
    weight = np.array([0.0, 0.55, 1.1, 1.45])[:, None, None] * np.ones((4, 1, 2))
    square = losses.SquaredError(weight, np.round(rng.normal(size=weight.shape) * 8) / 8)
    entropy = losses.CrossEntropy(np.array([[0.0], [0.5], [1.0]]), np.array([[0], [1], [1]]))
    found = {
        "clocked": Problem("clocked", field, y0, theta, ts, square),
        "on the grid": Problem(
            "on the grid",
            field,
            np.vstack([y0, -y0 / 2]),
            theta,
            np.array([0.0, 0.5, 1.0]),
            losses.SquaredError(0.9 * np.ones((3, 2, 2)), np.zeros((3, 2, 2))),
        ),
        "entropy backwards": Problem(
            "entropy backwards",
            field,
            y0,
            theta,
            np.array([1.25, 0.5, 0.0]),
            entropy,
            losses.QuadraticCost(0.5, 0.25, 0.125),
        ),
    }
    posed_ = posed.network(), posed.at_rest(), posed.switched(), posed.curved()
    found |= {problem.name: problem for problem in (*posed_, *catalogue.full()) if _named(problem.name)}
    for _, name, _ in PLAN:
        if name not in found:
            found[name] = draw(name)
    return found


def _named(problem: str) -> bool:
    return any(problem == name for plan in (PLAN, OF_LIBRARIES) for _, name, _ in plan)


def units(known: dict[str, Problem]) -> list[list[Case]]:
    """The cases by subject and problem."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in cases(known):
        found.setdefault((case.subject.name, case.problem.name), []).append(case)
    return list(found.values())


def cases(known: dict[str, Problem]) -> list[Case]:
    """All cases of the plan."""
    return [
        Case(claim, subject, known[name])
        for plan, claims in ((PLAN, ALL), (OF_LIBRARIES, (*CONFORMANCE, *METHODS)))
        for subject, name, ids in plan
        if name in known
        for claim in claims
        if among(claim.id, ids) and claim.id not in UNASKED
    ]


def asks(claim: str) -> bool:
    """Whether the plan asks a claim of anything."""
    return any(among(claim, ids) for plan in (PLAN, OF_LIBRARIES) for _, _, ids in plan) and claim not in UNASKED


def among(claim: str, ids: tuple[str, ...]) -> bool:
    """Whether a claim's id is one of these, or of their kind: SNOPT-1.1 of SNOPT-1 and of SNOPT."""
    return any(claim == one or claim.startswith((f"{one}-", f"{one}.")) for one in ids)


def outcome(case: Case, change: Change | None = None) -> Outcome:
    """Judge one case, of the subject or of a changed one."""
    begun = time.process_time()
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    expected = True
    try:
        subject = case.subject if change is None else change(case.subject)
        record = evaluate(case.claim, subject, case.problem)
        verdict, message = str(record.verdict), record.message if record.verdict == Verdict.ERROR else ""
        expected = record.ok
    except NotApplicable as reason:
        verdict, message = str(Verdict.NOT_APPLICABLE), str(reason)
    return Outcome(case.key, case.claim.id, verdict, time.process_time() - begun, message, expected)


def sound(case: Case, right: Outcome) -> bool:
    """Whether a case can count: the right subject has the very verdict that the claim expects, and it is decisive."""
    return right.verdict in DECISIVE and right.expected and right.verdict == case.claim.expected(case.problem)


def killed(wrong: Outcome) -> bool:
    """Whether a mutant has a verdict, and none that a right subject has: one that is refuted where claims hold."""
    return wrong.verdict in DECISIVE and not wrong.expected


def judged(
    these: Sequence[Case], right: dict[str, Outcome], change: Change | None, *, budget: float
) -> Iterator[Outcome]:
    """Outcomes of a mutant, cheapest case first.

    It ends when a claim has refuted it and `budget` seconds are spent, or when its first ENOUGH cases end in an error.
    """
    spent, dead, errors = 0.0, False, 0
    for number, case in enumerate(sorted(these, key=lambda c: right[c.key].seconds)):
        if (dead and spent > budget) or errors == number == ENOUGH:
            return
        one = outcome(case, change)
        spent += one.seconds
        dead |= killed(one)
        errors += one.verdict == Verdict.ERROR
        yield one


class KeptRuns(dict[tuple[str, int], Any]):
    """The reference's runs by a problem's content: many claims make the same problem anew."""

    def install(self) -> None:
        """Let the reference ask here first."""
        solve: Any = inspect.unwrap(flow.trajectories)

        @functools.wraps(solve)
        def trajectories(problem: Problem, order: int) -> Any:
            arrays = b"".join(a.tobytes() + str(a.shape).encode() for a in (problem.y0, problem.theta, problem.ts))
            key = (repr(problem.field) + arrays.hex(), order)
            if key not in self:
                self[key] = solve(problem, order)
            return self[key]

        for module in vars(odecheck_reference).values():
            if getattr(module, "trajectories", None) is not None:
                module.trajectories = trajectories
