"""Sections and tables are found by looking: a new one is one file, and what is declared wrongly is said in words."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from odecheck.report import build, sections, tables
from odecheck.report.text import Text
from tests.report_runs import HELD, run

SECTION = """
from odecheck.report.text import Section, Text

PLACE = 15


def section(found):
    rows = found.tables.get("weather")
    return None if rows is None else Section("weather", "Weather", "", (Text(f"{rows['rain'].sum():g} mm"),))
"""
TABLE = """
from odecheck.report.schemas import Parquet

KIND = Parquet("weather", text=("town",), numbers=("rain",), needed=("rain",))
"""
FOUND = {sections: sections.sections, tables: tables.kinds}


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Adds a file to a folder of the package, for one test."""
    before = set(sys.modules)

    def file(package, name: str, text: str) -> None:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
        if str(folder) not in package.__path__:
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        FOUND[package].cache_clear()

    yield file
    for name in set(sys.modules) - before:
        if name.startswith(("odecheck.report.sections.", "odecheck.report.tables.")):
            del sys.modules[name]
    for find in FOUND.values():
        find.cache_clear()


def test_a_new_table_and_its_section_are_two_files_and_nothing_else(add, tmp_path):
    add(tables, "weather", TABLE)
    add(sections, "weather", SECTION)
    folder = run(tmp_path / "r", [HELD])
    pd.DataFrame({"town": ["Ulm", "Bonn"], "rain": [1.5, 2.0]}).to_parquet(folder / "weather.parquet")
    report = build([folder])
    assert [s.id for s in report.sections][:3] == ["verdict", "weather", "claims"]
    assert report.sections[1].blocks == (Text("3.5 mm"),)
    pd.DataFrame({"town": ["Ulm"]}).to_parquet(folder / "weather.parquet")
    assert build([folder]).damaged == ["r, weather.parquet: has no column rain, so it is not shown"]


@pytest.mark.parametrize(
    ("package", "text", "says"),
    [
        (
            sections,
            SECTION.replace("PLACE = 15", ""),
            r"weather declares no PLACE\n.*\n  what to type: PLACE = ",
        ),
        (sections, "PLACE = 15", r"sections.weather declares no section\n.*\n  what to type: def section"),
        (
            sections,
            SECTION.replace("15", "20"),
            r"claims and .*weather both have PLACE = 20\n.*\n.* 21 ",
        ),
        (sections, SECTION.replace("15", "'last'"), r"PLACE of .*weather is 'last'"),
        (tables, "", r"tables.weather declares no KIND\n.*\n  what to type: KIND = Parquet"),
        (tables, "KIND = ('town', 'rain')", r"KIND of .*weather is tuple\n.*\n  what to type: KIND = Parquet"),
        (tables, TABLE.replace('"weather"', '"cost"'), r"tables.cost and .*weather are both the table 'cost'"),
    ],
)
def test_what_is_declared_wrongly_or_twice_is_said(add, package, text, says):
    add(package, "weather", text)
    with pytest.raises(TypeError, match=says):
        FOUND[package]()
