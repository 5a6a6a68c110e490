"""A run's figures: one of losses, one of evaluations, and of ratios where optimizers are compared."""

from __future__ import annotations

import pandas as pd
import pytest

from odecheck.studies.kept_trainings import keep, tables
from odecheck.studies.training_pictures import has_end_time, means, pictures
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


def test_a_mean_changes_its_line_where_a_training_stops() -> None:
    """The others are other trainings: their mean jumps, in time even back."""
    went = [(0, step, 1.0, 2.0 * step) for step in (1, 2, 3)] + [(1, step, 0.01, 9.0 * step) for step in (1, 2)]
    common, rest = means(pd.DataFrame(went, columns=["seed", "step", "loss", "cpu_seconds"]))
    assert common["loss"].tolist() == pytest.approx([0.1, 0.1]) and list(common.index) == [1, 2]
    assert rest["cpu_seconds"].tolist() == [6.0] and list(rest.index) == [3]
