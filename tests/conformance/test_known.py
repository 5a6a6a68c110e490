"""A known failure of no claim is refused, and one of no row is said where every row that it may be of was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odecheck import BadInput
from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import matrix
from odecheck.engines.library import Known
from tests.conformance.rows import SAMPLE, WAY

ONE = replace(SAMPLE, tested=("1",), known=(), asks=lambda *_: [replace(WAY, topics=("solution",))])


def notices(*known: Known, tested: tuple[str, ...] = ("1",), **narrowed: str) -> list[str]:
    library = replace(ONE, known=known, tested=tested)
    return [row.message for row in matrix([Version(library, "1")], None, **narrowed).notices]


def test_a_failure_of_no_claim_is_refused():
    with pytest.raises(BadInput, match=r"'SOL-1000', which is no claim"):
        notices(Known("why", claims=("SOL-2", "SOL-1000")), method="Radau")


def test_a_failure_of_no_row_is_said_and_one_of_a_row_is_not():
    used, of_none = Known("used", claims=("SOL-2",)), Known("of no method", claims=("SOL-2",), methods=("BDF",))
    assert [said.partition(": ")[2] for said in notices(used, of_none)] == ["of no method"]


def test_nothing_is_said_where_its_rows_may_be_others():
    of_none = Known("of no method", claims=("SOL-2",), methods=("BDF",))
    assert notices(of_none, method="RK") == []  # not all rows are asked
    assert notices(of_none, tested=("1", "2")) == []  # nor all versions
    assert notices(replace(of_none, versions=("2",))) == []
