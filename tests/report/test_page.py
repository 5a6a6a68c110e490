"""The report: which sections there are, what they say, figures, the Markdown twin, and the command."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck.cli import app
from odecheck.errors import BadInput
from odecheck.report import build, interactive, page, static
from odecheck.report.captions import caption
from odecheck.report.markdown import to_markdown
from odecheck.report.sections import sections
from odecheck.report.text import Chart, Explorer, Grid, Table, clip, shown
from tests.report_runs import ALL, FAILED, HELD, KNOWN, NOTHING, UNSURE, cost, everything, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build([everything(tmp_path_factory.mktemp("whole") / "all")])


def figures_of(report):
    return [b for s in report.sections for b in s.blocks if isinstance(b, Chart | Grid | Explorer)]


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


def test_what_has_to_be_read_is_told_and_nothing_else(whole):
    table = next(b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "attention")
    assert list(table.frame["outcome"]) == ["failed", "failed", "inconclusive", "known failure", "false as read"]
    of_libraries = {name for name in whole.stories if name.startswith("record-t")}
    assert set(table.frame["record"]) == set(whole.stories) - of_libraries
    story = whole.stories[table.frame["record"].iloc[0]]
    assert "gap / bar" in story and "odecheck.check([pair], claims='SOL-2'" in story and "odecheck show" in story


def test_each_refuted_or_inconclusive_row_of_a_library_leads_to_its_story_and_its_script(whole):
    rows = next(
        b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "conformance-rows"
    ).frame
    assert set(rows["record"]) - {""} == {name for name in whole.stories if name.startswith("record-t")}
    assert list(rows["record"] != "") == list(rows["verdict"].isin(["refuted", "inconclusive"]))
    for row in rows.to_dict("records"):
        if row["verdict"] == "refuted":
            told = whole.stories[row["record"]]
            assert row["library"] in told and told.endswith(row["reproducer"]) and "SystemExit" in told


def test_the_selftest_is_told_with_its_survivors_and_the_worst_part_of_each_answer(whole):
    of = {b.id: b for s in whole.sections if s.id == "selftest" for b in s.blocks}
    assert list(of["selftest-scores"].frame["found"]) == ["119", "1", "0", "0", "45"]
    assert list(of["selftest-survivors"].frame["mutant"]) == ["start time, sign"]
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


def test_every_figure_says_what_to_see_units_n_and_how_to_make_it_again(whole):
    found = figures_of(whole)
    assert len({f.id for f in found}) == len(found) >= 12
    for figure in found:
        words = caption(figure)
        assert all(part in words for part in ("Units: ", "n = ", "Made again by: ")), figure.id
        assert re.search(r"n = \d", words), figure.id


def test_plotly_knows_everything_that_figures_are_made_of(whole):
    graph = pytest.importorskip("plotly.graph_objects")
    drawn = [panel for f in figures_of(whole) if not isinstance(f, Explorer) for panel in interactive.figures(f)]
    assert len(drawn) >= 12
    for panel in drawn:
        graph.Figure(data=panel["data"], layout=panel["layout"])  # raises for a property that plotly does not have


def test_figures_are_drawn_as_svg_and_png(whole, tmp_path):
    mpl = pytest.importorskip("matplotlib.image")
    drawn = static.write(whole, tmp_path / "figures", beside=tmp_path)
    assert set(drawn) == {f.id for f in figures_of(whole)}
    for name, path in drawn.items():
        assert ElementTree.parse(tmp_path / path).getroot().tag.endswith("svg")
        assert mpl.imread(tmp_path / "figures" / f"{name}.png")[..., :3].std() > 0.02, name
    text = to_markdown(whole, drawn)
    assert all(f"](figures/{name}.svg)" in text for name in drawn)


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


def test_the_markdown_twin_has_every_section_and_story(whole):
    text = to_markdown(whole)
    for section in whole.sections:
        assert f"## {section.title}" in text
    targets = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert targets and targets <= set(re.findall(r'<a id="([^"]+)">', text))
    assert "whole story" not in text


def test_numbers_of_the_page_are_those_of_the_table(whole):
    table = next(b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "records")
    sent = interactive.rows(table)
    nfe = next(c for c in sent["columns"] if c["name"] == "nfe")["values"]
    assert nfe == list(table.frame["nfe"])
    words = next(c for c in sent["columns"] if c["name"] == "claim")
    assert [words["words"][i] for i in words["values"]] == list(table.frame["claim"])


def test_an_explorer_joins_what_is_one_method_of_one_engine(whole):
    explorer = next(b for s in whole.sections for b in s.blocks if isinstance(b, Explorer) and "gradient" in b.id)
    chart = static.default_chart(explorer)
    series = chart.panels[0].series
    assert len(series) == 4  # two engines, two methods
    assert all(list(s.y) == sorted(s.y, reverse=True) and len(s.y) == 3 for s in series)


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nothing to report"):
        build([tmp_path])


def test_what_is_missing_is_named(whole, monkeypatch):
    def gone(name):
        raise ImportError(name)

    monkeypatch.setattr(page, "import_module", gone)
    with pytest.raises(BadInput, match=r'pip install "odecheck\[report\]"'):
        page.to_html(whole)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (math.nan, "number", "–"),
        (math.inf, "number", "∞"),
        (-math.inf, "count", "−∞"),
        (1234567.0, "count", "1,234,567"),
        (1.23456e-9, "number", "1.23e-09"),
        (None, "text", "–"),
    ],
)
def test_cells(value, kind, text):
    assert shown(value, kind) == text


def test_clip():
    assert clip("a\n b") == "a b"
    assert clip("x" * 10**6) == "x" * 59 + "…"
    assert len(clip(" " * 1000 + "x")) <= 60


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Path("runs/first"), ALL)
    result = CliRunner().invoke(app, ["report", "runs/first", "--figures", "figures"])
    assert result.exit_code == 0, result.output
    assert "Not as expected: 2 of 18 verdicts." in result.output
    assert Path("runs/first/report.html").stat().st_size > 1e6
    assert "](../../figures/margins.svg)" in Path("runs/first/report.md").read_text()
    assert Path("figures/margins.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is nothing to report in nowhere"),
        ([], "there is nothing to report in runs/none"),
        (["--compare", "one"], "--compare takes two runs, not 1"),
    ],
)
def test_the_command_refuses(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 2 and words in result.output


def test_a_gap_of_zero_is_said_not_to_be_drawn(tmp_path):
    report = build([run(tmp_path / "r", [HELD, replace(HELD, problem="other", score=0.0, resolved=math.inf)])])
    chart = next(f for f in figures_of(report) if f.id == "margins")
    assert "Not drawn: 1 points that are not finite" in caption(chart)
    assert pd.notna(chart.panels[0].series[0].y).all()


def test_ticks_of_logarithmic_axes_are_numbers(tmp_path):
    (tmp_path / "c").mkdir()
    cost().to_parquet(tmp_path / "c" / "cost.parquet")
    drawn = static.write(build([tmp_path / "c"]), tmp_path / "f", beside=tmp_path)
    text = (tmp_path / drawn["work-precision-1-solution"]).read_text()
    assert "mathdefault" not in text and "1e−05" in text


def test_verdicts_of_a_ledger_without_records_come_first(tmp_path):
    rows = [{"claim": f"HB-{i}", "statement": "s", "source": "t", "verdict": v} for i, v in enumerate(["holds"] * 3)]
    (tmp_path / "ledger.json").write_text(json.dumps([*rows, {**rows[0], "claim": "HB-9", "verdict": "refuted"}]))
    assert build([tmp_path]).headline == "4 statements of the papers: 3 holds, 1 refuted."
