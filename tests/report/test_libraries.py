"""Libraries side by side: what counts for one and against it, the newest version, the worst defect."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from odecheck.records.export import write_json
from odecheck.report import build
from odecheck.report.libraries import Counts, gravest, in_words, standings
from odecheck.report.markdown import to_markdown
from tests.report_runs import FAILED, conformance, run

ROW: dict[str, Any] = {
    "library": "a",
    "version": "1.0",
    "claim": "SOL-2",
    "verdict": "holds",
    "score": 0.1,
    "expected_failure": "",
    "message": "",
    "record": "record-t0-1",
}


def row(**more: Any) -> dict[str, Any]:
    return {**ROW, **more}


def ranked(*rows: dict[str, Any]) -> list[str]:
    return [one.name for one in standings(pd.DataFrame(list(rows)))]


def test_what_is_not_decided_speaks_neither_for_a_library_nor_against_it():
    rows = [row(), row(verdict="inconclusive"), row(verdict="unsupported"), row(verdict="error"), row(claim="")]
    (one,) = standings(pd.DataFrame(rows))
    assert one.counts("1.0") == Counts(1, 1, 1) and one.counts("1.0").share == 0.5
    assert str(one.counts("1.0")).replace("\N{NO-BREAK SPACE}", " ") == "1 ✓ 1 ✗ 1 ?"
    assert Counts.of(["inconclusive"]).share == 0.0 and str(Counts.of([])) == "–"


def test_the_order_is_by_the_share_then_by_how_much_holds_then_by_name():
    wrong = row(library="wrong", verdict="refuted")
    more = [row(library="more"), row(library="more", claim="SOL-3")]
    assert ranked(wrong, row(library="b"), row(library="a"), *more) == ["more", "a", "b", "wrong"]


def test_versions_are_numbers_and_the_newest_counts():
    (one,) = standings(pd.DataFrame([row(version="0.9", verdict="refuted"), row(version="0.10"), row(version="0.2")]))
    assert one.versions == ("0.10", "0.9", "0.2") and one.counts(one.newest) == Counts(1, 0, 0)
    assert one.worst() is None


@pytest.mark.parametrize("strange", ["", "unknown", "9" * 50 + "x"])
def test_a_version_that_is_no_number_is_one_all_the_same(strange):
    (one,) = standings(pd.DataFrame([row(version=strange)]))
    assert one.newest == strange


def test_the_worst_defect_is_the_furthest_off_and_is_said_in_words():
    far = row(verdict="refuted", score=1e6, claim="DER-1", expected_failure="the last step is dropped")
    rows = [row(verdict="error"), row(verdict="refuted", score=math.nan), row(verdict="refuted", score=5.0), far]
    assert gravest(rows) is far and gravest(rows[:1]) is rows[0] and gravest([row()]) is None
    assert in_words(far, {}) == "DER-1: the last step is dropped (1e+06 times its bar)"
    assert in_words(row(verdict="refuted", score=math.inf), {"SOL-2": "right solutions"}) == "SOL-2: right solutions"
    assert in_words(row(verdict="error", score=math.nan), {}) == "SOL-2: error" and in_words(None, {}) == ""
    assert len(in_words(row(verdict="refuted", claim="X" * 500, message="word " * 500), {})) < 250


def test_places_of_libraries_are_places_whatever_they_are_called():
    found = standings(pd.DataFrame([row(library='"><script>'), row(library="a b"), row(library="a-b")]))
    places = {one.place for one in found}
    assert len(places) == 3 and all(place.replace("-", "").isalnum() for place in places)


@pytest.fixture
def page(tmp_path):
    conformance().to_parquet(tmp_path / "conformance.parquet")
    return build([tmp_path])


def test_a_table_of_libraries_begins_with_the_ranking_which_leads_to_each(page):
    assert [section.id for section in page.sections][:2] == ["leaderboard", "conformance"]
    (ranking,) = page.sections[0].blocks
    assert list(ranking.frame["place"]) == [1, 2, 3] and len(set(ranking.frame["library"])) == 3
    tables = {block.id: block for block in page.sections[1].blocks}
    for place, worst in zip(ranking.frame["details"], ranking.frame["worst"], strict=True):
        told = tables[place].frame
        assert list(told["grave"]) == sorted(told["grave"])  # what is refuted comes first
        refuted = told[told["grave"] == 0]
        assert worst.startswith(tuple(refuted["claim"])) if len(refuted) else worst == "–"
        assert all("the library alone" in page.stories[record] for record in refuted["record"])
    assert any(worst != "–" for worst in ranking.frame["worst"])
    text = to_markdown(page)
    for place in ranking.frame["details"]:
        assert f"[open](#{place})" in text and f'<a id="{place}"></a>' in text


def test_a_run_without_the_extra_of_tables_has_the_same_page(page, tmp_path):
    rows = conformance().to_dict("records")
    (tmp_path / "other").mkdir()
    write_json(str(tmp_path / "other" / "conformance.json"), [{**row, "score": math.inf} for row in rows], {})
    made = build([tmp_path / "other"])
    assert made.headline == page.headline and len(made.stories) == len(page.stories)
    assert [section.id for section in made.sections][:2] == ["leaderboard", "conformance"]
    (tmp_path / "other" / "conformance.json").write_text('{"records": 3}')
    (said,) = build([tmp_path / "other"]).damaged
    assert "conformance.json: cannot be read" in said


def test_what_is_not_as_expected_is_said_first(page, tmp_path):
    assert page.good is None and "not as expected" not in page.headline  # some are inconclusive
    held = conformance().query("verdict == 'holds'")
    for ok, good in ((True, True), (False, False)):
        held.assign(ok=ok).to_parquet(tmp_path / "conformance.parquet")
        made = build([tmp_path])
        assert made.good is good and ("not as expected" in made.headline) is not good


def test_a_run_of_conformance_is_not_counted_once_more_without_its_known_failures(tmp_path):
    held = conformance().query("verdict in ('holds', 'refuted')")
    for command, sections in (("conformance", {"leaderboard", "conformance"}), ("verify", {"verdict", "claims"})):
        folder = run(tmp_path / command, [FAILED])
        facts = json.loads((folder / "run.json").read_text())
        if command == "conformance":
            facts |= {"cases": {"claims": [], "pairs": []}, "conformance": {}}
            (folder / "run.json").write_text(json.dumps(facts))
        held.to_parquet(folder / "conformance.parquet")
        made = build([folder])
        assert sections <= {section.id for section in made.sections}
        assert ("Not as expected" in made.headline) == (command == "verify")
