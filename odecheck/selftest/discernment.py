"""Discernment: the smallest relative defect of a derivative that a test refutes.

A defect is a part of the answer multiplied by 1 + ε. The smallest ε that is refuted is found by bisection, for claims
on every engine and several tolerances, and for what is usually done instead: `torch.autograd.gradcheck` with its
defaults, and the tests of torchdiffeq and torchode, re-expressed here (field, comparison and tolerances are theirs; the
solves are torchdiffeq's). A test that lets 1 + 10 pass has no ε: it is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from odecheck.claims import ALL
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

from . import battery, operators
from .journal import Piece, Row
from .other_tests import OTHERS

SMALLEST, LARGEST = 1e-14, 10.0
ENGINES = {
    "torchdiffeq backprop": Backprop,
    "torchdiffeq adjoint": Adjoint,
    "odecheck.odeint": Closed,
    "odecheck.discrete": Discrete,
}
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
# what is multiplied by 1 + ε, for each claim that is asked
DEFECTS = {
    "SOL-2": "last state",
    "NODE-1": "y0",
    "NODE-2": "theta",
    "NODE-3": "last time",
    "SNOPT-1": "Q_thetatheta",
    "SNOPT-4": "q",
    "SNOPT-10": "Q_TT",
}
# second derivatives of the flow are dear: at these tolerances only
SECOND_ORDER = (1e-6, 1e-8)


def smallest(refutes: Callable[[float], bool]) -> float:
    """The smallest ε that is refuted, by bisection.

    Args:
        refutes: whether a test refutes the right answer times 1 + ε.

    Returns:
        ε to a factor of 1.2; infinite where LARGEST is not refuted either.

    Raises:
        ArithmeticError: ε = 0 is refuted: then a refutation says nothing about ε.
    """
    if refutes(0.0):
        raise ArithmeticError("the right derivative is refuted")
    low, high = math.log(SMALLEST), math.log(LARGEST)
    if not refutes(LARGEST):
        return math.inf
    while high - low > math.log(1.2):
        middle = (low + high) / 2
        low, high = (low, middle) if refutes(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _scaled(part: str, by: float) -> Callable[[Subject], Subject]:
    def change(subject: Subject) -> Subject:
        return replace(subject, engine=operators.altered(subject.engine, part, f"times {by!r}", lambda x: by * x))

    return change


def ours(argument: tuple[str, float]) -> list[Row]:
    """One row for each claim: what it refutes on this engine at this tolerance, and what its record says it would."""
    name, rtol = argument
    torch.set_num_threads(1)
    problem = battery.problems()["clocked"]
    subject = operators.kept(Subject(SHIPPED, Adaptive("dopri8", rtol=rtol, land=True), ENGINES[name]()))
    rows: list[Row] = []
    for claim in ALL:
        dear = claim.family.speaks_of == "second derivatives" and name == "odecheck.odeint" and rtol not in SECOND_ORDER
        if claim.id not in DEFECTS or dear:
            continue
        right = evaluate(claim, subject, problem)
        if right.verdict in (Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE):
            continue
        part = DEFECTS[claim.id]

        def refutes(by: float, claim: Any = claim, part: str = part) -> bool:
            return evaluate(claim, _scaled(part, 1 + by)(subject), problem).verdict == Verdict.REFUTED

        rows.append(
            {
                "test": claim.id,
                "engine": name,
                "rtol": rtol,
                "part": part,
                "verdict": str(right.verdict),
                "resolved": right.resolved,
                "smallest_refuted": smallest(refutes),
            }
        )
    return rows


def theirs(name: str) -> list[Row]:
    """One row for each derivative that a test looks at; and that the right derivative passes."""
    torch.set_num_threads(1)
    test, parts = OTHERS[name]
    rows: list[Row] = []
    for part in parts:
        try:
            verdict, least = "holds", smallest(lambda by, part=part: test(part, by))
        except ArithmeticError:  # a test that refutes the right derivative discerns nothing
            verdict, least = "refuted", math.nan
        rows.append(
            {
                "test": name,
                "engine": "",
                "rtol": math.nan,
                "part": part,
                "verdict": verdict,
                "resolved": math.nan,
                "smallest_refuted": least,
            }
        )
    return rows


def judged(argument: tuple[str, Any]) -> list[Row]:
    """The rows of one piece: ("ours", (engine, rtol)) or ("theirs", name of a test)."""
    kind, what = argument
    return theirs(what) if kind == "theirs" else ours(tuple(what))


def pieces() -> list[Piece]:
    """Every engine at every tolerance, and every other test."""
    ours_ = [Piece(f"{name} {rtol:g}", ("ours", (name, rtol))) for rtol in TOLERANCES for name in ENGINES]
    return [*ours_, *(Piece(name, ("theirs", name)) for name in OTHERS)]
