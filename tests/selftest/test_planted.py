"""A defect of twice what a record would have seen is refuted, and one that is not is said."""

from __future__ import annotations

import math

import pytest
import torch

from odecheck.problem_sets.conformance import network
from odecheck.selftest import planted
from odecheck.selftest.kinds import OWN, STEPS


@pytest.mark.parametrize("quantity", planted.QUANTITIES, ids=lambda quantity: quantity.name)
def test_twice_of_what_would_have_been_seen_is_refuted(quantity: planted.Quantity) -> None:
    row = planted.planted(OWN, network(), quantity)
    assert row is not None and row["refuted"], row
    assert row["planted"] == 2 * row["resolved"] > 0


def test_a_record_that_says_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "TIMES", 0.1)
    row = planted.planted(OWN, network(), planted.QUANTITIES[2])
    assert row is not None and not row["refuted"]
    made = planted.summary([row])
    assert (made["records"], made["refuted"]) == (1, 0)
    (said,) = planted.bad(made)
    assert said.startswith("NODE-2 says that it would have seen ") and "in dL/dtheta is holds" in said
    text, head, lines = planted.words(made)
    assert "**0** are refuted" in text and len(head) == len(lines[0]) and math.isnan(lines[0][-1])


def test_where_a_claim_does_not_hold_nothing_is_planted() -> None:
    assert planted.planted(STEPS, network(), planted.QUANTITIES[3]) is None


def test_one_number_is_moved() -> None:
    assert planted.moved(0.5, 5, 2)(torch.zeros(2, 2)).tolist() == [[0.0, 0.5], [0.0, 0.0]]
    assert planted.moved(0.5, 2, 1)(torch.zeros(2, 2)).tolist() == [[0.5, 0.0], [0.0, 0.0]]
    assert planted.moved(0.5, 2, 1)(torch.zeros(3)).tolist() == [0.0, 0.0, 0.5]


def test_pieces_are_drawn_problems() -> None:
    assert [piece.argument for piece in planted.pieces(3, 2)] == [(3, 0), (3, 1)]
