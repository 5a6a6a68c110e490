"""The table of kinds names claims that there are, each with a subject and a problem."""

from __future__ import annotations

from odecheck.claims import EVERY
from odecheck.selftest import kinds


def test_every_claim_of_the_table_is_one_and_has_wrong_subjects() -> None:
    known = {claim.id for claim in EVERY}
    for kind in kinds.KINDS:
        assert set(kind.claims) <= known, kind.key
        assert [case.claim.id for case in kind.cases()] == sorted(kind.claims, key=[c.id for c in EVERY].index)
        assert all(kind.wrong(case.claim) for case in kind.cases())
    keys = [kind.key for kind in kinds.KINDS]
    assert len(set(keys)) == len(keys)


def test_the_quick_selection_has_every_family() -> None:
    quick = {kind.family for kind in kinds.KINDS if kind.quick}
    assert quick == {kind.family for kind in kinds.KINDS}
