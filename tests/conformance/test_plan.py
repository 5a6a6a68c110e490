"""Which claims are asked of libraries, and on which problems."""

from __future__ import annotations

from odecheck.claims import CONFORMANCE
from odecheck.conformance.plan import claims, posed


def test_all_claims_of_conformance_are_asked_of_somebody():
    asked = {c.id for topic in ("solution", "derivatives", "use") for c in claims(topic)}
    assert {c.id for c in CONFORMANCE} <= asked
    for topic in ("solution", "derivatives", "use"):
        for claim in claims(topic):
            brief, whole = posed(claim, True), posed(claim, False)
            assert brief and {p.name for p in brief} <= {p.name for p in whole}
