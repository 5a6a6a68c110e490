"""The report: which sections there are, what they say, and the page that holds them."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from odecheck import errors
from odecheck.errors import BadInput
from odecheck.report import build, page, static
from odecheck.report.markdown import to_markdown
from odecheck.report.sections import sections
from odecheck.report.text import Table
from tests.report_runs import FAILED, HELD, KNOWN, NOTHING, UNSURE, cost, run


def test_every_section_is_there_when_its_table_is(whole):
    assert len(whole.sections) == len(sections())
    assert [s.id for s in whole.sections][:2] == ["verdict", "claims"]
    assert whole.damaged == []


def test_a_section_without_its_table_is_absent(tmp_path):
    (tmp_path / "only").mkdir()
    cost().to_parquet(tmp_path / "only" / "cost.parquet")
    report = build([tmp_path / "only"])
    assert [s.id for s in report.sections] == ["cost"]
    assert report.good is None and "measurements only" in report.headline


@pytest.mark.parametrize(
    ("records", "good", "words"),
    [
        ([HELD, FAILED, UNSURE], False, "Not as expected: 1 of 3 verdicts."),
        ([HELD, UNSURE, NOTHING], None, "1 of 2 verdicts are inconclusive"),
        ([HELD, KNOWN, NOTHING], True, "All 2 verdicts are as expected."),
    ],
)
def test_verdict_first(tmp_path, records, good, words):
    report = build([run(tmp_path / "r", records)])
    assert report.good is good and words in report.headline


def test_a_run_that_has_not_ended_is_not_called_good(tmp_path):
    report = build([run(tmp_path / "r", [HELD], finished=None)])
    assert report.good is None and "has not ended" in report.headline


def test_the_selftest_is_told_with_its_survivors_and_the_worst_part_of_each_answer(whole):
    of = {b.id: b for s in whole.sections if s.id == "selftest" for b in s.blocks}
    assert list(of["selftest-scores"].frame["found"]) == ["119", "1", "479", "0", "0", "45", "38"]
    assert list(of["selftest-survivors"].frame["mutant"]) == ["start time, sign", "SOL-9: nothing at all"]
    (panel,) = of["discernment"].panels
    assert [(s.name, list(s.x), list(s.y)) for s in panel.series] == [
        (name, [1e-8, 1e-4], [2e-8, 2e-4]) for name in ("NODE-1", "gradcheck")
    ]


@pytest.mark.parametrize("text", ["[]", "{", '{"mutants": 3, "bars": {}, "discernment": [1, {"rtol": "x"}]}'])
def test_a_selftest_that_is_no_such_thing_gives_an_honest_page(tmp_path, text):
    (tmp_path / "selftest.json").write_text(text)
    report = build([tmp_path])
    assert "selftest" not in [s.id for s in report.sections] or report.sections[0].blocks
    assert bool(report.damaged) == (text == "{")
    assert page.to_html(report) and to_markdown(report)


def test_the_same_records_give_the_same_page_and_figures(whole, tmp_path):
    assert page.to_html(whole) == page.to_html(whole)
    few = replace(whole, sections=[s for s in whole.sections if s.id in ("slopes", "ledger")])
    once, twice = (static.write(few, tmp_path / n, beside=tmp_path) for n in "ab")
    assert list(once) == ["slopes"]
    assert all((tmp_path / once[k]).read_bytes() == (tmp_path / twice[k]).read_bytes() for k in once)


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "action", "data"):
                self.found.append(value)
            if name == "id":
                self.ids.append(value)


def test_the_page_leads_nowhere_but_into_itself(whole):
    text = page.to_html(whole)
    links = Links()
    links.feed(text)
    assert len(links.ids) == len(set(links.ids))
    assert all(link.startswith("#") or link == "data:," for link in links.found)
    table = next(b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "records")
    places = {*links.ids, *table.frame["record"], *whole.stories}
    assert {link[1:] for link in links.found if link.startswith("#")} <= places
    assert text.count('id="part-plotly"') == 1
    assert len(text.encode()) < 4e6


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nothing to report"):
        build([tmp_path])


def test_what_is_missing_is_named(whole, monkeypatch):
    def gone(name):
        raise ImportError(name)

    monkeypatch.setattr(errors, "import_module", gone)
    with pytest.raises(BadInput, match=r'pip install "odecheck\[report\]"'):
        page.to_html(whole)


def test_verdicts_of_a_ledger_without_records_come_first(tmp_path):
    rows = [{"claim": f"HB-{i}", "statement": "s", "source": "t", "verdict": v} for i, v in enumerate(["holds"] * 3)]
    (tmp_path / "ledger.json").write_text(json.dumps([*rows, {**rows[0], "claim": "HB-9", "verdict": "refuted"}]))
    assert build([tmp_path]).headline == "4 statements of the papers: 3 holds, 1 refuted."
