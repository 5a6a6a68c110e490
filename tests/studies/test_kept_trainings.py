"""Which runs are kept, and what of them."""

from __future__ import annotations

import json
import math

import pytest

from odecheck.errors import BadInput
from odecheck.studies.kept_trainings import geometric, keep, shareable, tables, who
from tests.studies.kept_runs import folder_of_a_run


def test_a_run_that_has_not_ended_is_not_kept(tmp_path) -> None:
    run = folder_of_a_run(tmp_path / "one", None)
    with pytest.raises(BadInput, match="has not ended"):
        keep(run, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_run_is_kept_without_its_folder_and_found_again(tmp_path) -> None:
    keep(folder_of_a_run(tmp_path / "one", "2026-01-01"), tmp_path / "reports")
    (kept,) = tables(tmp_path / "reports")
    assert kept.name == "one" and who(kept.rows) == "optimizer"
    assert kept.facts["command"] == ["odecheck", "train", "made", "--tune", "1"]
    assert "trials" not in kept.facts


def test_a_command_is_shared_without_the_folder_that_it_wrote_to() -> None:
    assert shareable(["odecheck", "train", "--run", "/here", "--seeds", "5"]) == ["odecheck", "train", "--seeds", "5"]


def test_geometric_means_are_of_finite_values() -> None:
    assert geometric([1.0, 100.0, math.nan, math.inf]) == pytest.approx(10.0)
    assert math.isnan(geometric([math.nan]))


def test_a_run_with_a_design_is_kept_as_far_as_it_has_come(tmp_path) -> None:
    """What it has not decided its comparisons say themselves; without a design it is refused."""
    run = folder_of_a_run(tmp_path / "one", None)
    with pytest.raises(BadInput, match="has not ended"):
        keep(run, tmp_path / "reports")
    facts = json.loads((run / "run.json").read_text())
    facts["cases"]["design"] = {"claims": ["SNOPT-13"], "seeds": [0, 1, 2, 3], "looks": [4], "alike": {}}
    (run / "run.json").write_text(json.dumps(facts))
    keep(run, tmp_path / "reports")
    assert [one.name for one in tables(tmp_path / "reports")] == ["one"]
