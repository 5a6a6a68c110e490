"""A run's figures: one of losses, one of evaluations."""

from __future__ import annotations

import pytest

from odecheck.studies.kept_trainings import keep, tables
from odecheck.studies.training_pictures import pictures
from tests.studies.kept_runs import folder_of_a_run

pytest.importorskip("matplotlib")


def test_two_figures_of_each_run(tmp_path) -> None:
    keep(folder_of_a_run(tmp_path / "one", "2026-01-01"), tmp_path)
    (run,) = tables(tmp_path)
    pictures(run, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"training-one-loss.png", "training-one-nfe.png"}
