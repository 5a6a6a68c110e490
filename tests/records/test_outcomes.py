"""A row for each claim counts outcomes, and columns are those that are asked for."""

from __future__ import annotations

from dataclasses import replace

from odecheck.judge import Verdict
from odecheck.records.outcomes import COLUMNS, NOT_ASKED, by_claim, columns_of
from tests.report_runs import ALL, FAILED, HELD, NOTHING


def test_what_was_not_asked_has_a_column_only_where_there_is_such_a_record():
    assert columns_of(ALL) == COLUMNS
    assert columns_of([*ALL, replace(NOTHING, verdict=Verdict.NOT_ASKED)]) == (*COLUMNS, NOT_ASKED)


def test_of_what_failed_nothing_is_said_to_have_been_seen():
    (row,) = by_claim([HELD, replace(FAILED, resolved=0.9)])
    assert row.resolved == HELD.resolved and row.failed == 1
