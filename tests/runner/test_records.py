"""What check gives is a list as before, and is shown as a verdict and a table wherever people look."""

from __future__ import annotations

import pickle

import pytest
from rich.console import Console

from odecheck import Records, check, problems, subjects
from tests.report_runs import ALL, FAILED, HELD, KNOWN, NOTHING, UNSURE


@pytest.fixture(scope="module")
def found() -> Records:
    return check(subjects()[0], problems()[0], "SOL-9,SOL-1")


def test_it_is_the_list_that_it_was(found):
    assert isinstance(found, list) and found == list(found) and list(found) == found
    assert len(found) == 2 and [r.claim for r in found] == ["SOL-9", "SOL-1"] and found[-1].claim == "SOL-1"
    assert found[0] in found and found.index(found[1]) == 1 and bool(found) and not Records()
    assert sorted(found, key=lambda r: r.claim)[0].claim == "SOL-1" and found.copy() == found
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is Records and repr(again) == repr(found)


def test_a_part_of_it_is_of_its_kind(found):
    assert type(found[:1]) is Records and found[:1] == [found[0]]


def test_what_failed_and_what_is_open(found):
    assert found.ok and not found.failed
    many = Records(ALL)
    assert not many.ok and FAILED in many.failed and UNSURE not in many.failed
    assert many.inconclusive == [UNSURE] and Records([KNOWN, NOTHING, HELD]).ok and not Records([UNSURE]).ok


def test_a_frame_has_a_row_for_each(found):
    frame = found.to_frame()
    assert list(frame["claim"]) == ["SOL-9", "SOL-1"] and "resolved" in frame


def test_it_says_the_verdict_everywhere(found):
    assert repr(found) == "<2 records, AS EXPECTED: all 2 verdicts are as expected>"
    for width in (60, 160):
        console = Console(width=width)
        with console.capture() as shown:
            console.print(found)
        lines = shown.get().splitlines()
        assert lines[0].startswith("AS EXPECTED: ") and max(map(len, lines)) <= width
        assert any("deterministic" in line for line in lines)
    assert str(Records(ALL)).startswith("REFUTED: ") and str(FAILED).splitlines()[1].strip() in str(Records(ALL))


def test_in_a_notebook_names_of_other_people_are_no_tags():
    html = Records([FAILED.__class__(**{**vars(FAILED), "subject": "<script>alert(1)</script>[bold]"})])._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html and "[bold]" in html and "REFUTED" in html
