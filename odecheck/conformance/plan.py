"""Which claims are asked of a library, on which problems."""

from __future__ import annotations

from functools import cache

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import ALL, CONFORMANCE
from odecheck.claims.libraries.derivatives import seen
from odecheck.engines.library import Topic
from odecheck.problem_sets.conformance import linear, network, problems

# of the claims on any solve: the field is our own and its twin's agreement says nothing of a library
OF_SOLUTIONS = ("SOL-2", "SOL-3", "SOL-4", "SOL-5", "SOL-6", "SOL-7", "SOL-8", "SOL-9")
OF_DERIVATIVES = ("NODE-3",)
TOPICS: dict[Topic, tuple[str, ...]] = {"solution": ("SOL",), "derivatives": ("DER",), "use": ("HES", "EVT", "USE")}


@cache
def two_times() -> Problem:
    """The network seen at its end alone: some libraries differentiate the first and last time and no other."""
    whole = network()
    return seen(whole, whole.ts[[0, -1]], [1], "at its end")


def claims(topic: Topic) -> tuple[Claim, ...]:
    """The claims of a topic, in reading order."""
    first = {"solution": OF_SOLUTIONS, "derivatives": OF_DERIVATIVES, "use": ()}[topic]
    of_topic = (c for c in CONFORMANCE if c.id.split("-")[0] in TOPICS[topic])
    return (*(c for c in ALL if c.id in first), *of_topic)


def posed(claim: Claim, brief: bool) -> tuple[Problem, ...]:
    """The problems on which a claim is asked: small, and all but one of them moving with time.

    brief: of the two that most claims share, the network alone.
    """
    if claim.id in OF_DERIVATIVES:
        return (two_times(),)
    found = problems(claim.id)
    return tuple(p for p in found if p is not linear()) if brief else found
