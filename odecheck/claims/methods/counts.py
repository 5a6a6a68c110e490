"""What an adaptive solver's estimate and its evaluations promise: that they are what they say (STEP-5 to STEP-7)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.papers.convergence import seen_evenly
from odecheck.claims.papers.solution import silent
from odecheck.claims.shared.line import slope
from odecheck.claims.shared.tolerances import ROOT_TOLERANCE, TOLERANCES, adaptive_of, ratio_of
from odecheck.discrete.tableau import METHODS, Tableau
from odecheck.errors import NotApplicable
from odecheck.instruments.metering import charge, metered
from odecheck.mutants import steps as broken
from odecheck.solvers import Toleranced
from odecheck.subject import Subject, to_numpy

# norms differ: of a maximum or a root mean square, of one state or the larger of two
GRANTED = 3.0
CLOSE = 1e-8


Call = tuple[float, Array, Array]


@dataclass(eq=False)
class Heard:
    """All calls of a field, whatever copies are made of the module: how many, and t, y and the value where asked for.

    Attributes:
        closely: Whether t, y and the value are noted, which cannot be done under torch.func's transforms.
        count: Of the calls.
        calls: What was noted.
    """

    closely: bool
    count: int = 0
    calls: list[Call] = field(default_factory=list[Call])

    def __deepcopy__(self, _memo: Any) -> Heard:
        return self


class Listened(nn.Module):
    """A field whose calls are noted.

    Args:
        inner: The field.
        heard: Where they are noted.
    """

    def __init__(self, inner: nn.Module, heard: Heard) -> None:
        super().__init__()
        self.inner, self.heard = inner, heard

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value, noted."""
        self.heard.count += 1
        value = self.inner(t, y)
        if self.heard.closely:
            self.heard.calls.append((float(t.detach().reshape(-1)[0]), to_numpy(y), to_numpy(value)))
        return value


def listened(subject: Subject, *, closely: bool) -> tuple[Subject, Heard]:
    """A subject whose field's calls are noted, beneath what mutants have wrapped around it."""
    heard = Heard(closely)
    return replace(subject, around=((lambda inner: Listened(inner, heard)), *subject.around)), heard


def _tableau(solver: Toleranced) -> Tableau:
    tableau = METHODS.get(getattr(solver, "method", ""))
    if tableau is None or tableau.error is None:
        raise NotApplicable("the method's coefficients are not known here: its estimate cannot be worked out")
    return tableau


def estimates(calls: list[Call], tableau: Tableau, solver: Toleranced) -> list[float]:
    """The error estimate of each accepted step, in units of what its tolerance allows.

    Of an explicit method with coefficients (a, b, c) a step from t begins with a call at t + c_2 h, or at t itself
    where the first stage is not the last of the step before. A step is accepted if the next one begins at its end.
    Raises NotApplicable for calls that are not those of such steps.
    """
    assert tableau.error is not None
    stages, c = tableau.stages, np.array(tableau.c)
    fresh = tableau.first_stage == "fresh"
    size = stages if fresh else stages - 1
    if size < 2:
        raise NotApplicable("a step of the method is one call of the field: which calls are steps cannot be told")
    forwards = 1.0 if calls[-1][0] > calls[0][0] else -1.0
    begin = calls[0]
    found: list[float] = []
    pending: tuple[Call, float] | None = None  # where the next step begins if this one is accepted, its estimate
    at = 1
    while at + size <= len(calls):
        group = calls[at : at + size]
        origins = [begin] if pending is None else [pending[0], begin]
        match = next((o for o in origins if _fits(group, o[0], c[-size:], forwards)), None)
        if match is None:
            if found or pending:  # something else than steps, and nobody knows what became of the last one
                pending = None
                break
            at += 1  # what chooses the first step
            continue
        if pending is not None and match is pending[0]:
            found.append(pending[1])
        begin, start = match, match[1]
        h = (group[-1][0] - begin[0]) / c[-1]
        values = [call[2] for call in (group if fresh else [begin, *group])]
        end = start + h * sum(b * k for b, k in zip(tableau.b, values, strict=True))
        off = h * sum(e * k for e, k in zip(tableau.error, values, strict=True))
        atol = solver.rtol / 100 if solver.atol is None else solver.atol
        allowed = atol + solver.rtol * np.maximum(np.abs(start), np.abs(end))
        ended = begin[0] + h, end, group[-1][2]
        pending = ended, float(np.sqrt(np.mean((off / allowed) ** 2)))
        at += size
    if pending is not None:
        found.append(pending[1])
    if len(found) < 2:
        raise NotApplicable("the field is not called as the method's stages are: its steps cannot be told")
    return found


def _fits(group: list[Call], begin: float, c: Array, forwards: float) -> bool:
    h = (group[-1][0] - begin) / c[-1]
    return h * forwards > 0 and all(
        abs(t - begin - part * h) <= CLOSE * abs(h) for (t, _, _), part in zip(group, c, strict=True)
    )


@claim(
    "STEP-5",
    source="error per step control: Hairer, Nørsett & Wanner I, section II.4",
    resolution=GRANTED,
    scale=1.0,
    mutants=[broken.TENTH_OF_THE_ESTIMATE],
)
def estimates_are_within_tolerance(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The error estimate of an accepted step is at most what the tolerance allows, at three tolerances.

    It is worked out anew, from the calls of the field and the coefficients of the method: the largest root mean square
    of estimate / (atol + rtol max |y|) over accepted steps, or 1 where that is smaller. Three is granted, for other
    norms. An estimate that is a tenth of what it should be makes errors ten times as large, which no bound of the error
    refutes.
    """
    solver, row = adaptive_of(subject), problem.y0[:1]
    tableau = _tableau(solver)
    asked = problem.with_(y0=row, loss=silent(problem, len(problem.ts), batch=1), running=None)
    largest: list[float] = []
    for i in range(3):
        at = solver.with_tolerance(solver.rtol / 10**i, None if solver.atol is None else solver.atol / 10**i)
        loud, heard = listened(replace(subject, solver=at), closely=True)
        loud.solution_again(asked, i)
        if not heard.calls:
            raise NotApplicable("no call of the field was heard")
        largest.append(max(1.0, *estimates(heard.calls, tableau, at)))
    return Bounded(np.array(largest)), Bounded(np.ones(3), {"other norms": GRANTED - 1})


@claim(
    "STEP-6",
    source="error per step control: steps are as long as the tolerance to the power 1/p allows",
    resolution=0.6,
    scale=1.0,
    mutants=[ROOT_TOLERANCE, broken.CONSTANT_TOLERANCE, broken.SQUARED_TOLERANCE],
)
def evaluations_follow_the_tolerance(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The number of evaluations grows as the tolerance to the power −1/p, p the order of the method.

    Observed is −p times the slope of log(evaluations) over that of nine tolerances (of orders below four of the tighter
    six), with the last output alone. Its bar is that of the fit at 99 %, and what one step more or less does to it. A
    quarter is granted.
    """
    solver = adaptive_of(subject)
    if getattr(solver, "method", "") in ("Radau", "BDF", "LSODA"):
        raise NotApplicable("a method of several orders, or one that iterates")
    loose, tight = TOLERANCES[solver.order]
    tolerances = np.geomspace(loose / 10, tight / 10, 9)  # tighter: there are more steps
    asked = seen_evenly(problem, 1)
    counts = np.zeros(9)
    for i, tolerance in enumerate(tolerances):
        at = solver.with_tolerance(float(tolerance), float(ratio_of(solver) * tolerance))
        with metered() as cost:
            replace(subject, solver=at).solution(asked)
        charge(cost)
        counts[i] = cost.nfe
    if not counts.all():
        raise NotApplicable("the evaluations of the field are not counted here")
    # of low order, with many steps, the tighter six alone: at loose tolerances what comes before the first step counts
    kept = slice(3 if solver.order < 4 else 0, None)
    x, y = np.log(tolerances[kept]), np.log(counts[kept])
    rise, noise = slope(x, y)
    one_step = (solver.order + 2) / counts.min() / abs(x[-1] - x[0])
    return (
        Bounded(-solver.order * rise, {"fit": solver.order * noise, "a step": solver.order * one_step}),
        Bounded(1.0, {"a quarter": 0.25}),
    )


@claim(
    "STEP-7",
    source="definition of the number of function evaluations",
    resolution=1e-9,
    mutants=[broken.UNCOUNTED],
)
def evaluations_are_counted(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The evaluations that a record reports are those that the field was asked for, forwards and backwards.

    Reported is what is counted at the module that the engine is given; true is what is counted inside of it, whatever
    copies are made of it.
    """
    observed, expected = np.zeros(2), np.zeros(2)
    asked = copy.copy(problem)
    for i, what in enumerate((lambda s: s.solution_again(asked, 1), lambda s: s.gradient(asked))):
        loud, heard = listened(subject, closely=False)
        with metered() as cost:
            what(loud)
        charge(cost)
        observed[i], expected[i] = cost.nfe, heard.count
    if not expected.all():
        raise NotApplicable("no call of the field was heard: it is evaluated in another form")
    return Bounded(observed), Bounded(expected)
