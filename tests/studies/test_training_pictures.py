"""A run's figures: one of losses, one of evaluations, and of ratios where optimizers are compared."""

from __future__ import annotations

import pandas as pd
import pytest

from odecheck.studies.kept_trainings import keep, tables
from odecheck.studies.training_pictures import has_end_time, pictures
from tests.studies.kept_runs import folder_of_a_run

pytest.importorskip("matplotlib")


def test_three_figures_of_a_comparison(tmp_path) -> None:
    keep(folder_of_a_run(tmp_path / "one", "2026-01-01"), tmp_path)
    (run,) = tables(tmp_path)
    pictures(run, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {f"training-one-{x}.png" for x in ("loss", "nfe", "ratio")}


def test_a_third_where_the_end_time_is_trained(tmp_path) -> None:
    keep(folder_of_a_run(tmp_path / "one", "2026-01-01"), tmp_path)
    (run,) = tables(tmp_path)
    assert not has_end_time(run.rows) and not has_end_time(run.rows.drop(columns="end_time"))
    moved = run._replace(rows=run.rows.assign(end_time=1 / run.rows["step"], accuracy=0.5))
    assert isinstance(moved.rows, pd.DataFrame) and has_end_time(moved.rows)
    pictures(moved, tmp_path)
    assert (tmp_path / "training-one-end-time.png").exists()
