"""What a run will cost, known before it starts: from measured processor seconds of each claim, by field and by engine.

`costs.json` has what was measured, of every claim on every kind of field that it was asked of, on a problem whose size
it says. A case is estimated as

    own(claim, field) · (size / measured size)^exponent · factor(engine, claim),

and the first subject of a problem pays for the reference besides, which the others share: first(claim, field), scaled
likewise. A field of one's own may take any time, and its solution any number of steps, so both are looked at
beforehand: there the scale is BESIDE + (evaluations of an explicit solve · seconds of one, with its gradient) / LOAD.
size = batch · state · (state + params), the numbers in the sensitivities of a problem. Where a field was not
measured the mean over the fields takes its place. The spread is the factor within which nine out of ten measured pairs
of subject and problem are, all their claims together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.engines.base import Engine, SecondOrderEngine
from odecheck.engines.own import Closed
from odecheck.engines.torchdiffeq import BACKPROP
from odecheck.foreign import words
from odecheck.subject import Subject

from .at_sight import is_stiff, load, remembered
from .case import Unit

# what of a case on a field of one's own does not call it, its validation included, in units of the measured case; and
# the load (`at_sight.load`, seconds) that takes as long as that case. Fitted to SOL-2 and NODE-1 to 3 on 23 fields of
# public projects: all of them take between half and twice as long
BESIDE, LOAD = 1.3, 0.018

# processor seconds below which a measured case was a refusal
REFUSED = 0.01

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class Estimate:
    """Processor seconds of a run.

    Attributes:
        seconds: Most likely; of stiff problems at least.
        low: By the spread less.
        high: By the spread more.
        stiff: Names of the problems that are stiff → time constants in their window.
        left: Names of the problems of which a look at the whole window does not arrive → the time where it was left.
    """

    seconds: float
    low: float
    high: float
    stiff: Mapping[str, float] = field(default_factory=dict[str, float])
    left: Mapping[str, float] = field(default_factory=dict[str, float])


@cache
def measured() -> dict[str, Any]:
    """What was measured.

    Returns:
        "claims": id → name of a field's class → [own, first, size]; "engines": name → id → factor, "" for other claims;
        "exponent"; "spread".
    """
    return json.loads(FILE.read_text(encoding="utf-8"))


def size_of(problem: Problem) -> int:
    """How large a problem is for a claim: the numbers in its sensitivities.

    Args:
        problem: Any.

    Returns:
        batch · state · (state + params).
    """
    return problem.y0.size * (problem.field.state + problem.field.params)


def of_case(claim: Claim, subject: Subject, problem: Problem, *, first: bool = False) -> float:
    """Processor seconds of one case.

    Args:
        claim: What is asked; one that was not measured counts as the mean of its family, or of all.
        subject: Of whom.
        problem: On what.
        first: Whether the reference has not been asked about the problem yet.

    Returns:
        Seconds, on the machine that measured.
    """
    costs = measured()
    by_field = costs["claims"].get(claim.id) or _mean_of_family(claim.family.id)
    kind = type(problem.field).__name__
    known = [by_field[kind]] if kind in by_field else list(by_field.values())
    if isinstance(subject.engine, SecondOrderEngine) and max(own for own, *_ in known) < REFUSED:
        # of such a field engines without second derivatives alone were measured
        known = [row for row in by_field.values() if row[0] >= REFUSED] or known
    factor = factor_of(claim.id, _like(subject.engine), costs["engines"])
    own_load = 0.0 if problem.independent else load(problem)

    def scale(size: float) -> float:
        return BESIDE + own_load / LOAD if own_load else (size_of(problem) / size) ** costs["exponent"]

    return fmean((factor * own + first * reference) * scale(size) for own, reference, size in known)


def factor_of(claim: str, engine: str, engines: Mapping[str, Mapping[str, float]]) -> float:
    """How many times the mean of the measured engines one of them takes of a claim.

    Args:
        claim: Its id.
        engine: Its name.
        engines: As `measured` has them.

    Returns:
        1 for an engine that was not measured.
    """
    known = engines.get(engine, {})
    return known.get(claim, known.get("", 1.0))


def _like(engine: Engine) -> str:
    """The measured engine that costs about as much: an unknown one is of first order, or has second derivatives."""
    if engine.name in measured()["engines"]:
        return engine.name
    return Closed().name if isinstance(engine, SecondOrderEngine) else BACKPROP.name


def _mean_of_family(id: str) -> dict[str, list[float]]:
    known: dict[str, dict[str, list[float]]] = measured()["claims"]
    mine = [fields for name, fields in known.items() if name.partition("-")[0] == id] or list(known.values())
    every = [row for fields in mine for row in fields.values()]
    return {"": [fmean(row[i] for row in every) for i in range(2)] + [fmean(row[2] for row in every)]}


def of_units(units: Iterable[Unit]) -> Estimate:
    """Processor seconds of a run.

    Args:
        units: What is to be done.

    Returns:
        Their sum, with the spread.
    """
    units = list(units)
    stiff = {u.problem.name: remembered(u.problem).constants for u in units if is_stiff(u.problem)}
    seconds, spread = math.fsum(seconds for _, _, seconds in each(units)), float(measured()["spread"])
    own = {u.problem.name: remembered(u.problem).left for u in units if not is_stiff(u.problem)}
    left = {name: t for name, t in own.items() if t is not None}
    return Estimate(seconds, seconds / spread, seconds * spread, stiff, left)


def each(units: Iterable[Unit]) -> Iterator[tuple[Unit, Claim, float]]:
    """Every case of a run with its processor seconds; the first subject of a problem pays for the reference."""
    seen: set[tuple[str, int]] = set()
    for unit in units:
        for claim in unit.claims:
            key = claim.id, id(unit.problem)
            yield unit, claim, of_case(claim, unit.subject, unit.problem, first=key not in seen)
            seen.add(key)


def costs(units: Iterable[Unit]) -> dict[tuple[str, str, str], float]:
    """`Record.key` of every case of a run → its processor seconds."""
    return {(claim.id, words(u.subject.name), words(u.problem.name)): seconds for u, claim, seconds in each(units)}


def telling(claim: Claim, cases: Sequence[tuple[Subject, Problem]]) -> float:
    """How much a claim tells for what it costs: wrong subjects that it refutes for a processor second.

    Args:
        claim: What is asked.
        cases: Of whom and on what.

    Returns:
        Mutants of the claim over the mean cost of a case.
    """
    return len(claim.mutants) / max(1e-3, fmean(of_case(claim, *case) for case in cases))


def most_telling_first(units: Sequence[Unit], parts: int = 6) -> list[Unit]:
    """The same work, claims that tell most for their cost first; those that share solves together.

    Args:
        units: What is to be done.
        parts: In so many parts of about the same cost; a part has all subjects and problems of its claims.

    Returns:
        The units of each part after those of the one before: of one subject and problem there may be several.
    """
    asked: dict[str, tuple[Claim, list[tuple[Subject, Problem]]]] = {}
    for unit in units:
        for claim in unit.claims:
            asked.setdefault(claim.id, (claim, []))[1].append((unit.subject, unit.problem))
    tells = {id: telling(*one) for id, one in asked.items()}
    costs = {id: sum(of_case(claim, *case) for case in cases) for id, (claim, cases) in asked.items()}
    group = {id: claim.shares or id for id, (claim, _) in asked.items()}
    first = {name: max(tells[id] for id in asked if group[id] == name) for name in group.values()}
    # of those that share solves the cheapest first: what it has solved is there for the others
    order = sorted(asked, key=lambda id: (-first[group[id]], group[id], costs[id]))
    total, spent = sum(costs.values()), 0.0
    part_of: dict[str, int] = {}
    for id in order:
        part_of.setdefault(group[id], min(parts - 1, int(parts * spent / total)) if total else 0)
        spent += costs[id]
    place = {id: i for i, id in enumerate(order)}
    found: list[Unit] = []
    for part in range(parts):
        for unit in units:
            mine = sorted((c for c in unit.claims if part_of[group[c.id]] == part), key=lambda c: place[c.id])
            if mine:
                found.append(Unit(unit.subject, unit.problem, tuple(mine)))
    return found
