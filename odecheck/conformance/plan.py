"""Which claims are asked of a library, on which problems."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import get_args

from odecheck_reference import Problem

from odecheck.claim import Claim, reading_order
from odecheck.claims import ALL, CONFORMANCE
from odecheck.claims.find import found as named
from odecheck.claims.libraries.derivatives import seen
from odecheck.engines.library import Topic
from odecheck.errors import BadInput
from odecheck.foreign import literal
from odecheck.problem_sets.conformance import linear, network, problems


@cache
def two_times() -> Problem:
    """The network seen at its end alone: some libraries differentiate the first and last time and no other."""
    whole = network()
    return seen(whole, whole.ts[[0, -1]], [1], "at its end")


def claims(topic: Topic) -> tuple[Claim, ...]:
    """The claims of a topic, in reading order: those of the papers that libraries are asked as well come first."""
    of_papers = tuple(c for c in ALL if c.of_libraries and topic_of(c) == topic)
    return (*of_papers, *(c for c in CONFORMANCE if topic_of(c) == topic))


def topic_of(claim: Claim) -> str:
    """The topic of the claim's family; of a paper's family, which has none, its derivatives."""
    return claim.family.topic or "derivatives"


def posed(claim: Claim, brief: bool) -> tuple[Problem, ...]:
    """The problems on which a claim is asked: small, and all but one of them moving with time.

    brief: of the two that most claims share, the network alone.
    """
    if not claim.family.topic:  # a paper's claim, on derivatives in the times
        return (two_times(),)
    found = problems(claim.id)
    return tuple(p for p in found if p is not linear()) if brief else found


def refuse_unasked(wanted: Collection[str]) -> None:
    """Raises BadInput for ids, patterns, families or topics of no claim, or of claims that are asked of no library."""
    known = {one.id for topic in get_args(Topic) for one in claims(topic)}
    for text in (part.strip() for one in wanted for part in one.split(",")):
        if not known & {one.id for one in named([text])}:
            raise BadInput(
                f"of libraries no claim {literal(text, 60)} is asked",
                "a claim of a model, an optimizer or a curvature matrix",
                f"--claim with one of: {', '.join(sorted(known, key=reading_order))}",
            )
