"""Which runs are kept, and what of them."""

from __future__ import annotations

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
