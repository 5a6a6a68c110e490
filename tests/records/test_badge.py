"""A badge counts claims, each as bad as the worst of its records, and never is green where something is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from odecheck.judge import Verdict
from odecheck.records.badge import badge, of_records, write_badge
from tests.report_runs import FAILED, HELD, NOTHING


@pytest.mark.parametrize(
    ("judged", "message", "colour"),
    [
        ([], "nothing judged", "lightgrey"),
        ([("A", "holds"), ("A", "holds"), ("B", "holds")], "2 of 2 claims hold", "brightgreen"),
        ([("A", "holds"), ("B", "known failure")], "1 of 2 claims hold", "yellow"),
        ([("A", "holds"), ("A", "undecided")], "0 of 1 claims hold, 1 undecided", "yellow"),
        ([("A", "failed"), ("A", "holds"), ("B", "undecided")], "0 of 2 claims hold, 1 undecided", "red"),
    ],
)
def test_a_claim_is_as_bad_as_the_worst_of_its_records(judged, message, colour):
    assert badge(judged) == {"schemaVersion": 1, "label": "odecheck", "message": message, "color": colour}


def test_of_a_run_what_was_not_judged_does_not_count():
    undecided = replace(HELD, claim="X-1", verdict=Verdict.INCONCLUSIVE, ok=False)
    known = replace(FAILED, claim="X-2", expected_failure="a reason", ok=True)
    records = [HELD, FAILED, NOTHING, undecided, known]
    states = dict(of_records(records))
    assert states["X-1"] == "undecided" and states["X-2"] == "known failure" and states[FAILED.claim] == "failed"
    assert len(of_records(records)) == 4
    assert dict(of_records([undecided], strict=True)) == {"X-1": "failed"}


def test_a_badge_is_json_in_a_new_folder_and_a_label_of_one_line(tmp_path):
    write_badge(str(tmp_path / "new" / "badge.json"), badge([("A", "holds")], "odecheck: a\nb\x1b[31m"))
    read = json.loads((tmp_path / "new" / "badge.json").read_text())
    assert read["message"] == "1 of 1 claims hold" and "\n" not in read["label"] and "\x1b" not in read["label"]
