"""A wrong subject counts as refuted beside a right one alone, and a survivor is said."""

from __future__ import annotations

from dataclasses import replace

from odecheck.claim import Mutant
from odecheck.selftest import by_kinds, crossed, kinds, mutation, summary

NOISE = crossed.noises((1e-3,))
KIND = replace(kinds.KINDS[0], family="noise", claims=("SOL-9",), subject=kinds.STEPS, problem=kinds.posed.network)
IDLE = Mutant("nothing at all", lambda subject: subject)


def test_wrong_subjects_are_refuted_and_right_ones_survive() -> None:
    rows = by_kinds.of_kind(replace(KIND, mutants=(*NOISE[:1], IDLE)), named=False)
    assert [row["status"] for row in rows] == [mutation.REFUTED, mutation.SURVIVED]
    made = summary.summary({"kinds": rows}, {"parts": {}})
    assert made["kinds"]["families"] == [
        {"family": "noise", "claims": "SOL-9", "mutants": 2, "of_float32": 0, "refuted": 1}
    ]
    assert summary.bad(made) == ["no claim refutes: SOL-9: nothing at all (noise; survived)"]
    text, head, lines = by_kinds.words(made["kinds"])
    assert "**1 unexplained**" in text and len(head) == len(lines[0])


def test_beside_a_subject_that_is_wrong_itself_nothing_counts() -> None:
    rows = by_kinds.of_kind(replace(KIND, subject=NOISE[0](KIND.subject), mutants=NOISE[:1]), named=False)
    assert [(row["status"], row["message"]) for row in rows] == [(mutation.UNDECIDED, "the right subject refuted")]


def test_of_claims_that_the_battery_asks_nothing_is_judged_twice() -> None:
    assert by_kinds.of_kind(replace(KIND, claims=("SOL-2",)), named=True) == []
    (one, *_) = by_kinds.judged(("named", next(n for n, k in enumerate(kinds.KINDS) if k.claims == ("DER-23",))))
    assert one["status"] == mutation.REFUTED


def test_pieces_are_the_crossed_kinds_and_the_named_ones() -> None:
    keys = [piece.key for piece in by_kinds.pieces()]
    assert len(set(keys)) == len(keys) == len(kinds.KINDS) + len(by_kinds.CROSSED)
