"""Records that nobody would write on purpose: an honest page, or a refusal that says what to do."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.errors import BadInput
from odecheck.records.run_folder import frame
from odecheck.report import build, page, static
from odecheck.report.markdown import to_markdown
from tests.report_runs import ALL, FAILED, HELD, cost, everything, run, training

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
HOSTILE = (
    SCRIPT,
    "</script><script>window.hacked = 1</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "$\\frac{$_^ `code` [link](javascript:alert(1)) | cell",
    "x" * 300_000,
    "\u202e\u0000\u0007\x1b]0;title\x07\x9b31m\u2028 right to left",
    '<a href="javascript:window.hacked=1">a</a>',
    "=cmd()\n\n# heading\n```\n</details>",
    "",
)


def hostile(text):
    return replace(
        FAILED,
        problem=text,
        subject=text,
        message=text or "m",
        source=text,
        claim=text[:50] or "C",
        expected_failure=text,
    )


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs).get("href") or ""))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything with hostile names in it."""
    place = everything(tmp_path_factory.mktemp("hostile") / "all", [*map(hostile, HOSTILE), *ALL])
    for name, table, columns in (
        ("cost", cost(), ["model", "method", "engine", "quantity"]),
        ("training", training(), ["task", "model"]),
    ):
        for i, column in enumerate(columns):
            table.loc[i::4, column] = HOSTILE[i]
        table.to_parquet(place / name / f"{name}.parquet")
    return place


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


def test_no_tag_of_a_user_gets_onto_the_page(folder):
    report = build([folder])
    text = page.to_html(report)
    assert not CONTROL.search(text), "printed in a terminal, or read from the right"
    assert "window.hacked" in text and "<script>window" not in text and "<img" not in text
    assert 'href="javascript' not in text
    assert "49" not in text[text.index("</style>") : text.index("<script type")].split("{{ 7 * 7 }}")[0][-3:]
    assert "{{ 7 * 7 }}" in text
    assert len(text) < 5e6, "a huge name is cut off"


def test_no_tag_of_a_user_gets_into_the_markdown(folder):
    text = to_markdown(build([folder]))
    assert not CONTROL.search(text)
    tags = Tags()
    tags.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert {tag for tag, _ in tags.found} <= set(
        ["h1", "h2", "h3", "p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "a", "pre", "code"]
    )
    assert all(value.startswith(("#record-", "#library-")) for tag, value in tags.found if tag == "a" and value)
    assert len(text) < 2e6


def test_hostile_names_are_drawn(folder, tmp_path):
    report = build([folder])
    few = replace(report, sections=[s for s in report.sections if s.id in ("cost", "claims")])
    assert len(static.write(few, tmp_path, beside=tmp_path)) >= 4


def test_numbers_that_are_none(tmp_path):
    values = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7e308]
    same = ("observed", "expected", "score", "resolved", "ratio", "seconds")
    records = [
        replace(HELD, problem=str(i), bar=abs(v), budget=json.dumps({"a": v, "b": v}), **dict.fromkeys(same, v))
        for i, v in enumerate(values)
    ]
    report = build([run(tmp_path / "r", records)])
    text = page.to_html(report)
    assert "NaN" not in text[: text.index("part-data")] and "∞" in text
    assert static.write(report, tmp_path / "f", beside=tmp_path)


def test_a_truncated_table_of_records_is_said(tmp_path):
    place = run(tmp_path / "r", ALL)
    whole = (place / "records.parquet").read_bytes()
    (place / "records.parquet").write_bytes(whole[: len(whole) // 2])
    report = build([place])
    assert any("records.parquet" in line for line in report.damaged)
    assert report.good is None and "No verdicts" in report.headline
    assert "What could not be read" in page.to_html(report) and "What could not be read" in to_markdown(report)


@pytest.mark.parametrize("name", ["cost", "training", "conformance"])
def test_a_truncated_table_is_said_and_the_others_are_shown(tmp_path, name):
    place = everything(tmp_path / "all")
    path = place / name / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    report = build([place])
    assert any(f"{name}.parquet: cannot be read" in line for line in report.damaged)
    assert name not in {s.id for s in report.sections}
    assert {"cost", "training", "conformance"} - {name} <= {s.id for s in report.sections}


def test_missing_columns_are_said(tmp_path):
    place = run(tmp_path / "r", ALL)
    frame(ALL).drop(columns=["score", "budget"]).to_parquet(place / "records.parquet")
    cost().drop(columns=["achieved_error"]).to_parquet(place / "cost.parquet")
    training().drop(columns=["accuracy", "optimizer"]).to_parquet(place / "training.parquet")
    report = build([place])
    said = "\n".join(report.damaged)
    assert "a row without the columns of a record" in said
    assert "cost.parquet: has no column achieved_error, so it is not shown" in said
    assert "has no column optimizer, accuracy" in said
    assert "training" in {s.id for s in report.sections}
    assert len(report.damaged) < 25


def test_columns_of_another_type_are_said(tmp_path):
    place = run(tmp_path / "r", ALL)
    wrong = frame(ALL).astype({"score": object, "claim": object})
    wrong["score"] = "high"
    wrong["budget"] = "not JSON"
    wrong["message"] = None
    wrong.to_parquet(place / "records.parquet")
    table = cost().astype({"achieved_error": object})
    table["achieved_error"] = ["small" if i % 2 else "1e-3" for i in range(len(table))]
    table.to_parquet(place / "cost.parquet")
    report = build([place])
    assert any(
        f"{len(table) // 2} of {len(table)} values of achieved_error are no numbers" in d for d in report.damaged
    )
    assert page.to_html(report)


def test_a_journal_with_half_a_line_a_lone_surrogate_and_no_known_verdict(tmp_path):
    place = run(tmp_path / "r", [], finished=None)
    (place / "records.parquet").unlink()
    rows = [{**r, "verdict": str(r["verdict"])} for r in frame([HELD, FAILED, FAILED]).to_dict("records")]
    rows[1]["problem"] = "\ud800"
    rows[2]["verdict"] = "<b>maybe</b>"
    (place / "journal.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + '\n{"claim": "SO')
    report = build([place])
    assert report.good is False and "has not ended" in report.headline
    assert any("cut off" in line for line in report.damaged)
    assert any("no known verdict" in line for line in report.damaged)
    page.write(report, tmp_path / "out" / "report.html")
    assert "<b>maybe" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    "facts", [{"source": "x", "versions": 3, "command": {"a": 1}}, {"source": {"targets": 1}, "versions": None}]
)
def test_facts_of_another_form(tmp_path, facts):
    assert page.to_html(build([run(tmp_path / "r", [FAILED], **facts)]))


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"schema": 1,', "cannot be read"), ('{"schema": 99}', "format version 99"), ("[]", "version None")],
)
def test_a_run_whose_facts_cannot_be_read_is_refused(tmp_path, text, words):
    place = run(tmp_path / "r", ALL)
    (place / "run.json").write_text(text)
    with pytest.raises(BadInput, match=words):
        build([place])
    result = CliRunner().invoke(app, ["report", str(place)])
    assert result.exit_code == 2 and words in result.output


def test_ledgers_of_another_form(tmp_path):
    for i, text in enumerate(["{", "[1]", '[{"claim": "A"}]', "{}"]):
        place = run(tmp_path / str(i), [HELD])
        (place / "ledger.json").write_text(text)
        report = build([place])
        assert "ledger" not in {s.id for s in report.sections}


def test_empty_tables(tmp_path):
    place = run(tmp_path / "r", [])
    for name, table in (("cost", cost()), ("training", training())):
        table.head(0).to_parquet(place / f"{name}.parquet")
    report = build([place])
    assert "No verdicts" in report.headline
    assert page.to_html(report) and to_markdown(report)


def test_more_rows_than_a_page_takes_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("odecheck.report.schemas.MOST_ROWS", 10)
    (tmp_path / "r").mkdir()
    table = pd.concat([training()] * 2)
    table.to_parquet(tmp_path / "r" / "training.parquet")
    assert any(f"{len(table)} rows, of which the first 10 are shown" in d for d in build([tmp_path / "r"]).damaged)
