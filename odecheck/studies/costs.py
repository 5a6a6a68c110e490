"""What every claim costs: processor seconds on small problems, from which `odecheck verify` estimates a run beforehand.

    python -c "from odecheck.studies.costs import measure; measure()"

writes `odecheck/runner/costs.json` anew, in about ten minutes. To be done when claims are added or have become quicker.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median, quantiles
from typing import Any

import torch
from odecheck_reference import Problem
from torch import Tensor, nn

from odecheck.claim import Claim
from odecheck.claims import ALL, CONFORMANCE, METHODS
from odecheck.engines.own import Closed
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.problem_sets.conformance import network, problems
from odecheck.runner import presets
from odecheck.runner.case import Case
from odecheck.runner.estimate import FILE, factor_of, size_of
from odecheck.runner.targets import module_pairs
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

# below, a case says by a look that it does not apply, or costs next to nothing
LEAST = 2e-3
# cost grows with size by this power: between a solve, which hardly feels it, and a Jacobian, which is proportional
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Spent:
    """Processor seconds of one case.

    Attributes:
        claim: Its claim's id.
        field: The class of its problem's field.
        problem: The problem's name.
        size: As `size_of` has it.
        subject: Its subject's name.
        engine: The engine's name.
        seconds: Of the processor.
    """

    claim: str
    field: str
    problem: str
    size: int
    subject: str
    engine: str
    seconds: float


class Small(nn.Module):
    """A plain module, as users have them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The rate of y."""
        return self.last(torch.tanh(self.first(y)))


def measure() -> None:
    """Ask every claim on small problems, and write what it cost.

    The first subject is asked twice: once it pays for the reference. `odecheck.odeint` is asked beside the default
    subjects, for what it costs of a second derivative is another thing than what they cost.
    """
    subjects = presets.subjects("quick")
    spent: list[Spent] = []
    for problem in presets.problems("quick"):
        for subject in (*subjects, subjects[0], Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Closed())):
            spent += _asked(subject, problem, ALL)
    for one in presets.beside("quick"):
        spent += _asked(one.subject, one.problem, [claim for claim in ALL if claim.id in one.claims])
    for subject, problem in module_pairs(Small(), [[0.5, -0.25]]):
        spent += _asked(subject, problem, ALL)
    for claim in (*CONFORMANCE, *METHODS):
        where = network() if network() in problems(claim.id) else problems(claim.id)[0]
        for subject in subjects[:2]:
            spent += _asked(subject, where, [claim])
    FILE.write_text(json.dumps(summarised(spent), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _asked(subject: Subject, problem: Problem, claims: Sequence[Claim]) -> list[Spent]:
    found: list[Spent] = []
    with unit_of_work():
        for claim in claims:
            begun = time.process_time()
            Case(subject, problem, claim).run()
            spent = time.process_time() - begun
            kind, engine = type(problem.field).__name__, subject.engine.name
            found.append(Spent(claim.id, kind, problem.name, size_of(problem), subject.name, engine, spent))
    return found


def summarised(spent: Sequence[Spent]) -> dict[str, Any]:
    """What `costs.json` holds, from measured cases.

    Args:
        spent: The cases, of each problem in the order in which its subjects were asked.

    Returns:
        Of each claim and field the mean seconds of a subject and those of the reference; of each engine the factor of
        each claim, and "" for others; exponent and spread.
    """
    by_case: dict[tuple[str, str], list[Spent]] = {}
    for one in spent:
        by_case.setdefault((one.claim, one.problem), []).append(one)
    claims: dict[str, dict[str, list[float]]] = {}
    ratios: dict[str, dict[str, list[float]]] = {}
    for (claim, _), rows in by_case.items():
        later = [row.seconds for row in rows[1:]]
        own = fmean(later) if later else rows[0].seconds / 2
        again = [row.seconds for row in rows[1:] if row.subject == rows[0].subject] or [own]
        first = max(0.0, rows[0].seconds - fmean(again))
        claims.setdefault(claim, {})[rows[0].field] = [round(own, 4), round(first, 4), rows[0].size]
        for row in rows[1:] if own > LEAST else []:
            ratios.setdefault(row.engine, {}).setdefault(claim, []).append(max(row.seconds, LEAST) / own)
    engines = {name: _factors(by_claim) for name, by_claim in ratios.items() if len(by_claim) > 20}
    return {
        "claims": claims,
        "engines": engines,
        "exponent": _exponent(spent),
        "spread": _spread(spent, claims, engines),
    }


def _factors(by_claim: dict[str, list[float]]) -> dict[str, float]:
    every = [ratio for found in by_claim.values() for ratio in found]
    of_claims = {claim: round(fmean(found), 3) for claim, found in by_claim.items()}
    return {"": round(geometric_mean(every), 2), **of_claims}


def _exponent(spent: Sequence[Spent]) -> float:
    """Of a few powers of the size the one by which the same claims on several fields differ least."""
    by_claim: dict[str, list[Spent]] = {}
    for one in spent:
        if one.seconds > LEAST:
            by_claim.setdefault(one.claim, []).append(one)

    def scatter(power: float) -> float:
        found: list[float] = []
        for rows in by_claim.values():
            logs = [math.log(row.seconds) - power * math.log(row.size) for row in rows]
            found += [abs(x - median(logs)) for x in logs]
        return fmean(found)

    return min(EXPONENTS, key=scatter)


def _spread(
    spent: Sequence[Spent], claims: dict[str, dict[str, list[float]]], engines: dict[str, dict[str, float]]
) -> float:
    """The factor within which nine of ten pairs of subject and problem are, estimated from what is kept."""
    pairs: dict[tuple[str, str], list[float]] = {}
    seen: set[tuple[str, str]] = set()
    for one in spent:
        own, first, _ = claims[one.claim][one.field]
        guess = own * factor_of(one.claim, one.engine, engines) + first * ((one.claim, one.problem) not in seen)
        seen.add((one.claim, one.problem))
        sums = pairs.setdefault((one.subject, one.problem), [0.0, 0.0])
        sums[0] += guess
        sums[1] += one.seconds
    off = sorted(abs(math.log(max(a, LEAST) / max(b, LEAST))) for a, b in pairs.values())
    return round(max(1.5, math.exp(quantiles(off, n=10)[-1])), 2)
