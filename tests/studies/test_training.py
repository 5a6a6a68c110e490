"""The report of the training runs that were kept."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest

from odecheck import tasks
from odecheck.studies import training as study
from odecheck.training.loop import Training, Trial
from odecheck.training.rows import frame
from odecheck.training.search import draws, told
from tests.studies.kept_runs import folder_of_a_run

REPORTS = Path(__file__).parents[2] / "reports" / "training"


SPHERES = tasks.find("spheres")
KEPT = {
    **{f"spheres {m} adam": ("spheres", m, "adam") for m in SPHERES.models},
    **{f"digits-conv {o}": ("digits-conv", "ConvNODE", o) for o in ("sgd", "adam", "snopt")},
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_the_kept_trainings_are_those_of_todays_code(kept) -> None:
    """Their first steps: evaluations and steps one for one, losses to float32's round-off in a few thousand sums."""
    name, model, optimizer = kept
    rows = pd.read_parquet(REPORTS / f"{name}.parquet")
    mine = rows[(rows["model"] == model) & (rows["optimizer"] == optimizer)]
    seed = int(mine["seed"].min())
    mine = mine[mine["seed"] == seed]
    mine = mine[mine["split"] == "train"].sort_values("step").head(4)
    task = tasks.find(name)
    rate, drawn = float(mine["learning_rate"].iloc[0]), mine["knobs"].iloc[0] if "knobs" in mine else ""
    knobs = next(one.knobs for one in draws(optimizer, 8) if one.rate == rate) if drawn else ()
    assert told(knobs) == drawn
    trial = Trial(task, task.setting(), model, optimizer, seed, rate, knobs)
    training = Training(trial, task.load(None, task.setting()))
    training._peak = lambda batch: math.nan  # is slow
    fresh = frame(list(islice((row for row in training.rows() if row.split == "train"), 4)))
    counts = [column for column in fresh if column.startswith(("nfe", "accepted", "rejected"))]
    pd.testing.assert_frame_equal(fresh[counts], mine[counts].reset_index(drop=True), check_dtype=False)
    assert fresh["loss"].to_numpy() == pytest.approx(mine["loss"].to_numpy(), rel=1e-4)
    assert set(fresh["parameters"]) == set(mine["parameters"])


def test_a_run_becomes_a_section_with_its_grid_its_figures_and_its_verdict(tmp_path) -> None:
    run = folder_of_a_run(tmp_path / "one", "2026-01-01")
    study.main(f"--keep={run}", str(tmp_path / "reports"))
    text = (tmp_path / "reports" / "training.md").read_text()
    assert "| SNOPT-13 | one | **holds** | 6 holds |" in text
    assert "`odecheck train made --tune 1`" in text and "/somewhere" not in text
    assert "gradients clipped at 1; seeds 0, 1, 2." in text
    # the grid: the best in bold, with the mean of its last five steps; one that stopped; one that was not tried
    best = sum(2 * 0.01 ** (i / 39) for i in range(35, 40)) / 5
    assert f"| 0.1 | **{best:.3g}** | – | – |" in text and "| 0.2 | – | stopped 1 of 1 | – |" in text
    # Adam's forty steps take 8 s, those of the others 4
    assert "Equal CPU time: 4.0 s" in text
    assert "| snopt / adam | held-out |" in text and "ahead at 20 of 20 times" in text
    for figure in ("loss", "nfe", "ratio"):
        assert f"training-one-{figure}.png" in text
        assert (tmp_path / "reports" / f"training-one-{figure}.png").read_bytes()[:4] == b"\x89PNG"


def test_how_a_run_came_about_is_told_beside_its_verdict(tmp_path):
    notes = {"digits-conv": "It was chosen after a look.", "gone": "never shown"}
    (kept,) = (run for run in study.tables(REPORTS.parent) if run.name == "digits-conv")
    page = study.to_markdown([kept], {}, notes)
    assert "**How this run came about.** It was chosen after a look." in page and "never shown" not in page
    assert "How this run came about" not in study.to_markdown([kept], {})
