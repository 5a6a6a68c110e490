"""Where the time of a run went: counted in every process, told in its folder, added up when a run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from odecheck.claims.find import found
from odecheck.runner import presets
from odecheck.runner.case import Unit
from odecheck.runner.run import run_units
from odecheck.runner.spent import Spent


def units() -> list[Unit]:
    subject, problem = presets.subjects()[0], presets.problems()[0]
    return [Unit(subject, problem, found(["SOL-1", "NODE-1"]))]


def told(folder: Path) -> dict[str, float]:
    return json.loads((folder / "run.json").read_text())["spent"]


def test_a_second_run_reads_what_the_first_worked_out(tmp_path: Path):
    references = tmp_path / "references"
    first = run_units(units(), isolated=True, folder=tmp_path / "first", references=references)
    again = run_units(units(), isolated=True, folder=tmp_path / "again", references=references)
    without = run_units(units(), isolated=True, folder=tmp_path / "without")
    assert [r.observed for r in first] == [r.observed for r in again] == [r.observed for r in without]
    assert [r.verdict for r in first] == ["holds", "holds"]
    assert told(tmp_path / "first")["made"] > 0 == told(tmp_path / "first")["read"]
    assert told(tmp_path / "again")["read"] > 0 == told(tmp_path / "again")["made"]
    assert told(tmp_path / "without")["made"] > 0 == told(tmp_path / "without")["read"]


def test_parts_add_up_also_over_a_resumed_run():
    one = Spent(0.5, 2.0, 1.5, 3, 4) + Spent(0.25, 1.0, 0.0, 1, 0)
    assert one == Spent(0.75, 3.0, 1.5, 4, 4)
    before = one.facts({})  # in tenths: 0.8, 3.0, 1.5
    assert one.facts(before) == {"validation": 1.6, "claims": 6.0, "references": 3.0, "made": 8, "read": 8}


@pytest.mark.parametrize("before", [None, [], "much", {"made": "many", "validation": None, "unknown": 3}])
def test_what_a_folder_said_that_is_no_number_is_nothing(before: object):
    assert Spent(1.0, 2.0, 0.5, 3, 4).facts(before) == Spent(1.0, 2.0, 0.5, 3, 4).facts({})
