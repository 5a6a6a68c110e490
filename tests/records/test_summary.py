"""What many records say together: outcomes, exit status, one row for each claim, and what has to be read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from rich.console import Console

from odecheck.judge import Verdict
from odecheck.record import REFUSED
from odecheck.records.summary import by_claim, details, exit_status, headline, identifier, outcome, table
from tests.report_runs import ALL, AS_READ, CRASHED, FAILED, HELD, KNOWN, NOTHING, UNSURE

OUTCOMES = [
    (HELD, "passed"),
    (FAILED, "failed"),
    (CRASHED, "failed"),
    (UNSURE, "inconclusive"),
    (KNOWN, "expected failure"),
    (AS_READ, "refuted as stated"),
    (NOTHING, "not applicable"),
    (replace(NOTHING, verdict=Verdict.UNSUPPORTED), "not applicable"),
    (replace(KNOWN, verdict=Verdict.HOLDS, ok=False), "failed"),
]


@pytest.mark.parametrize(("record", "expected"), OUTCOMES)
def test_the_outcome_of_a_record(record, expected):
    assert outcome(record) == expected
    assert outcome(record, strict=True) == ("failed" if expected == "inconclusive" else expected)
    assert exit_status([HELD, record]) == {"failed": 1, "inconclusive": 3}.get(expected, 0)
    assert exit_status([UNSURE, record]) == (1 if expected == "failed" else 3)
    assert exit_status([record], strict=True) == (expected in ("failed", "inconclusive"))


def test_what_is_inconclusive_and_was_expected_to_be_is_0():
    assert exit_status([replace(UNSURE, expected_verdict="inconclusive", ok=True)]) == 0


def test_an_identifier_stands_for_the_case_and_not_for_what_was_seen():
    assert len(identifier(HELD)) == 6
    assert identifier(replace(HELD, observed=7.0, verdict=Verdict.REFUTED, seconds=1.0)) == identifier(HELD)
    others = [replace(HELD, **{name: "other"}) for name in ("claim", "subject", "problem")]
    assert len({identifier(one) for one in (HELD, *others)}) == 4


def test_one_row_for_each_claim_in_the_order_of_the_records():
    worse = replace(HELD, problem="another", resolved=3e-6)
    rows = by_claim([FAILED, NOTHING, HELD, worse])
    assert [row.claim for row in rows] == ["SOL-2", "HB-2"]
    assert rows[0].counts == {"failed": 1, "passed": 2} and rows[0].failed == 1
    assert rows[0].resolved == 3e-6  # of what failed nothing is said
    assert rows[0].nfe == FAILED.nfe + HELD.nfe + worse.nfe
    assert math.isnan(rows[1].resolved) and rows[1].failed == 0


def test_the_table_leaves_out_claims_that_had_no_case():
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table([*ALL, replace(HELD, claim="SOL-9", looked_at=math.inf)]))
    text = shown.get()
    assert "Looked at: every feature wider than 1.0e-03 in time. In between nothing: SOL-9." in text
    assert "No case for: HB-2." in text and "SOL-2" in text and "2.0e-07" in text
    assert not [line for line in text.splitlines() if line.startswith("HB-2")]


def test_details_say_failures_in_full_and_known_ones_once():
    stale = replace(KNOWN, verdict=Verdict.HOLDS, ok=False, problem="stale")
    lines = details([HELD, FAILED, UNSURE, KNOWN, replace(KNOWN, problem="another"), stale])
    assert len(lines) == 5
    assert lines[0].startswith(f"[{identifier(FAILED)}] ") and str(FAILED) in lines[0]
    assert "known to fail, and holds: the grid of steps" in lines[1]
    assert "inconclusive: would have seen 3.0e-01, asked for 1.0e-05" in lines[2]
    assert lines[3] == "  to decide it: rtol=1e-10 in place of 1e-08"
    assert "known to fail (2 of its problems): the grid of steps" in lines[4]


def test_one_refusal_or_one_crash_is_said_once():
    refused = [replace(CRASHED, message=f"{REFUSED}no", claim=f"SOL-{i}", subject=s) for i in range(9) for s in "ab"]
    lines = details([HELD, *refused, CRASHED])
    assert len(lines) == 2 and lines[0].count("refused: no") == 1
    for part in ("subjects: a; b", "problem: linear with time", "and 1 more", "verdicts: 18"):
        assert part in lines[0]
    assert str(CRASHED) in lines[1]
    assert len(details([CRASHED, replace(CRASHED, message="ValueError: another")])) == 2


@pytest.mark.parametrize(
    ("records", "word", "text"),
    [
        ([HELD, NOTHING], "AS EXPECTED", "the one verdict is as expected"),
        ([HELD, KNOWN, AS_READ], "AS EXPECTED", "all 3 verdicts are as expected, 1 of them known failures"),
        ([HELD, UNSURE], "UNDECIDED", "1 of 2 verdicts are inconclusive, none is refuted"),
        ([HELD, UNSURE, FAILED], "REFUTED", "1 of 3 verdicts are not as expected (1 refuted)"),
        ([HELD, CRASHED], "ERROR", "1 of 2 verdicts are not as expected (1 error)"),
        ([FAILED, CRASHED], "REFUTED", "2 of 2 verdicts are not as expected (1 refuted, 1 error)"),
        ([replace(CRASHED, message=f"{REFUSED}no")], "REFUSED", "the subject cannot be verified as it is"),
        ([NOTHING], "NOTHING JUDGED", "none of 1 cases was judged"),
        ([HELD, replace(NOTHING, verdict=Verdict.NOT_ASKED)], "AS EXPECTED", "as expected; 1 was not asked"),
    ],
)
def test_the_headline_is_the_exit_status_in_words(records, word, text):
    found = headline(records)
    assert (found.word, text in found.text) == (word, True), found
    colours = {0: "green", 1: "red", 2: "red", 3: "yellow"}
    if word != "NOTHING JUDGED":
        assert colours[exit_status(records)] in found.style


def test_a_run_that_had_no_time_for_anything_is_undecided():
    """A check of every commit is not green for want of time; claims without a case are nobody's."""
    late = replace(NOTHING, verdict=Verdict.NOT_ASKED)
    assert exit_status([late]) == exit_status([late, NOTHING]) == 3
    assert exit_status([late, HELD]) == exit_status([NOTHING]) == exit_status([]) == 0
    assert exit_status([late, FAILED]) == 1


def test_in_strict_runs_what_is_inconclusive_has_failed():
    assert headline([HELD, UNSURE], strict=True).text == "1 of 2 verdicts are not as expected (1 inconclusive)"
