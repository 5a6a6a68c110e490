"""What other programs read: JSON with its schema, JUnit, and the summary of a CI step."""

import json
import math
from dataclasses import asdict, replace
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator, ValidationError, validate
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.record import COLUMNS
from odecheck.records.export import SCHEMA, SUMMARY_BYTES, schema, to_summary, write_json, write_junit, write_summary
from odecheck.records.run_folder import about
from tests.report.test_hostile import CONTROL, HOSTILE, Tags, hostile
from tests.report_runs import ALL, FAILED, HELD, UNSURE, many

FACTS = about({}, seed=0)


def test_the_schema_is_one_and_knows_every_column():
    Draft202012Validator.check_schema(schema())
    rows = schema()["properties"]["records"]["items"]
    assert tuple(rows["properties"]) == tuple(rows["required"]) == COLUMNS
    assert schema()["properties"]["schema"]["const"] == SCHEMA
    assert schema()["$id"].endswith(f":{SCHEMA}")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 1e308])
def test_what_is_written_is_of_the_schema(tmp_path, value):
    records = [*ALL, *map(hostile, HOSTILE), replace(HELD, observed=value, bar=value, seconds=value)]
    write_json(str(tmp_path / "a" / "r.json"), map(asdict, records), FACTS)

    def no(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "a" / "r.json").read_text()
    validate(json.loads(text, parse_constant=no), schema())


@pytest.mark.parametrize(
    "change", [{"verdict": "maybe"}, {"nfe": -1}, {"ok": "yes"}, {"observed": "a lot"}, {"more": 1}, {"claim": None}]
)
def test_the_schema_refuses_what_is_no_record(change):
    row = json.loads(json.dumps({**asdict(HELD), "verdict": "holds"}))
    whole = {"schema": SCHEMA, "facts": FACTS, "records": [{**row, **change}]}
    with pytest.raises(ValidationError):
        validate(whole, schema())


def test_a_summary_says_the_verdict_first():
    assert to_summary([HELD, FAILED], FACTS).startswith("## odecheck: 1 of 2 verdicts are not as expected")
    assert to_summary([HELD, UNSURE], FACTS).startswith(
        "## odecheck: 1 of 2 verdicts are inconclusive, none is refuted"
    )
    assert to_summary([HELD, UNSURE], FACTS, strict=True).startswith("## odecheck: 1 of 2 verdicts are not as expected")
    text = to_summary([HELD, HELD], FACTS)
    assert text.startswith("## odecheck: all 2 verdicts are as expected") and "<details>" not in text
    assert "| SOL-2 | 2 |" in text


def test_a_summary_stays_below_what_github_takes(tmp_path):
    path = tmp_path / "deep" / "summary.md"
    failures = [replace(FAILED, problem=f"π {i}", message="é" * 500) for i in range(20_000)]
    write_summary(str(path), failures, FACTS, run="runs/x")
    size = path.stat().st_size
    assert 0.9 * SUMMARY_BYTES < size < SUMMARY_BYTES
    text = path.read_text()
    assert text.count("<details>") == text.count("</details>") > 100
    assert "more that did not fit here" in text[-100:] and "odecheck show" in text and "--run runs/x" in text
    write_summary(str(path), failures, FACTS)
    assert size <= path.stat().st_size < SUMMARY_BYTES, "what is there already counts"


def test_a_summary_of_hostile_records_is_text():
    text = to_summary([*map(hostile, HOSTILE), *many(40)], FACTS)
    assert not CONTROL.search(text)
    tags = Tags()
    tags.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert {tag for tag, _ in tags.found} <= set(
        ["h2", "p", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "code"]
    )
    assert len(text.encode()) < SUMMARY_BYTES


def test_junit_of_hostile_records_is_xml(tmp_path):
    write_junit(str(tmp_path / "j.xml"), [*map(hostile, HOSTILE), *ALL])
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()[0]
    assert int(suite.get("tests", 0)) == len(HOSTILE) + len(ALL)


def test_verify_writes_them_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["verify", "--claim", "SOL-1", "--workers", "1", "--run", "r", "--summary", "s.md", "--json", "r.json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    validate(json.loads((tmp_path / "r.json").read_text()), schema())
    assert (tmp_path / "s.md").read_text().startswith("## odecheck: all 16 verdicts are as expected")
