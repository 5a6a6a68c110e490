"""How a parquet table is read: with all of its columns, and with what is wrong with it in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from odecheck.report import schemas
from odecheck.report.schemas import JsonFile, Parquet

KIND = Parquet("weather", text=("town",), numbers=("rain", "wind"), needed=("rain",))


def test_a_table_is_found_by_its_name_or_in_a_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "weather").mkdir()
    frame = pd.DataFrame({"town": ["Ulm"], "rain": [1.5], "wind": [2.0]})
    for path in (tmp_path / "weather.parquet", tmp_path / "weather" / "may.parquet"):
        frame.to_parquet(path)
    assert KIND.places(tmp_path) == [tmp_path / "weather.parquet"]
    assert KIND.places(tmp_path / "weather") == [tmp_path / "weather" / "may.parquet"]
    assert KIND.read(tmp_path / "weather.parquet", "here").run == "here"
    assert KIND.read(tmp_path / "weather" / "may.parquet", "here").run == "may"


def test_a_column_that_is_absent_is_empty_and_words_for_numbers_are_said(tmp_path: Path) -> None:
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"rain": ["1.5", "much"]}).to_parquet(path)
    table, problems = KIND.table(path)
    assert list(table.columns) == list(KIND.columns) and table["rain"].tolist()[0] == 1.5
    assert table["wind"].isna().all() and set(table["town"]) == {""}
    assert problems == [
        "has no column town, wind: shown empty",
        "1 of 2 values of rain are no numbers: shown empty",
    ]


def test_of_a_column_that_came_later_nothing_is_said(tmp_path: Path) -> None:
    """A run of an earlier version is no damage."""
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"rain": [1.5]}).to_parquet(path)
    table, problems = replace(KIND, later=("wind",)).table(path)
    assert table["wind"].isna().all()
    assert problems == ["has no column town: shown empty"]


def test_a_table_without_what_it_needs_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"town": ["Ulm"]}).to_parquet(path)
    assert KIND.table(path) == (None, ["has no column rain, so it is not shown"])
    path.write_bytes(b"PAR1")
    assert KIND.table(path)[1][0].startswith("cannot be read, so it is not shown: ")


def test_rows_beyond_the_most_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MOST_ROWS", 2)
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"town": list("abc"), "rain": [1.0, 2.0, 3.0], "wind": [0.0] * 3}).to_parquet(path)
    table, problems = KIND.table(path)
    assert len(table) == 2 and problems == ["3 rows, of which the first 2 are shown"]


@pytest.mark.parametrize("name", ["run.json", "weather.json"])
def test_facts_lie_beside_a_table(tmp_path: Path, name: str) -> None:
    pd.DataFrame({"town": ["Ulm"], "rain": [1.5], "wind": [2.0]}).to_parquet(tmp_path / "weather.parquet")
    (tmp_path / name).write_text(json.dumps({"facts": {"seed": 3}}))
    assert KIND.read(tmp_path / "weather.parquet", "here").facts == {"seed": 3}


def test_a_json_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    class Numbers(JsonFile):
        def parsed(self, text: str) -> object:
            return json.loads(text)

    kind = Numbers("numbers")
    assert kind.places(tmp_path) == []
    (tmp_path / "numbers.json").write_text("[1, 2")
    (place,) = kind.places(tmp_path)
    piece = kind.read(place, "here")
    assert piece.content is None and piece.damaged[0].startswith("numbers.json cannot be read")
    place.write_text("[1, 2]")
    assert kind.read(place, "here").content == [1, 2]
