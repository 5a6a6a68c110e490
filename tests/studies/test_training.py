"""Learning rates that a run chooses itself, and the report of the runs that were kept."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.studies import training as study
from odecheck.training import runs
from odecheck.training.loop import Training, Trial
from odecheck.training.rows import Row, frame

REPORTS = Path(__file__).parents[2] / "reports" / "training"
SPHERES = tasks.find("spheres")
SHORT = replace(SPHERES.setting(), epochs=12, evaluate_every=12)
DATA = SPHERES.load(None, SHORT)


def tried(folder: Path, rates: tuple[float, ...]) -> list[runs.Trial]:
    found = runs.tuning(SPHERES, SHORT, ["NODE"], ["sgd", "adam"], 1, rates)
    list(runs.run(found, DATA, folder))
    return found


def test_each_optimizer_goes_on_at_the_rate_that_its_own_seeds_chose(tmp_path) -> None:
    """Of 1e-6, 0.03 and 1e6 the first goes nowhere in twelve steps, and the last diverges at once."""
    trials = tried(tmp_path, (1e-6, 0.03, 1e6))
    assert {trial.seed for trial in trials} == {100} and len(trials) == 6
    rows = pd.read_parquet(tmp_path / "training.parquet")
    assert (rows[rows["learning_rate"] == 1e6].groupby("optimizer")["message"].max() != "").all()
    chosen = runs.at_best_rates(trials, tmp_path, [0, 1])
    assert [(t.seed, t.optimizer, t.rate) for t in chosen] == [
        (0, "sgd", 0.03),
        (0, "adam", 0.03),
        (1, "sgd", 0.03),
        (1, "adam", 0.03),
    ]


def test_rates_that_are_all_too_large_are_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match="every training of NODE with sgd was stopped"):
        runs.at_best_rates(tried(tmp_path, (1e6, 1e7)), tmp_path, [0])


@pytest.mark.parametrize(("count", "rates"), [(2, (0.1,)), (2, ()), (0, (0.1, 0.2))])
def test_nothing_to_choose_from_is_refused(count, rates) -> None:
    with pytest.raises(BadInput, match="--tune 2 --rate"):
        runs.tuning(SPHERES, SHORT, ["NODE"], ["sgd"], count, rates)


KEPT = {
    **{f"spheres {m} adam": ("spheres", m, "adam") for m in SPHERES.models},
    **{f"digits-conv {o}": ("digits-conv", "ConvNODE", o) for o in ("sgd", "adam", "snopt")},
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_the_kept_trainings_are_those_of_todays_code(kept) -> None:
    """Their first steps: evaluations and steps one for one, losses to float32's round-off in a few thousand sums."""
    name, model, optimizer = kept
    rows = pd.read_parquet(REPORTS / f"{name}.parquet")
    mine = rows[(rows["model"] == model) & (rows["optimizer"] == optimizer) & (rows["seed"] == 0)]
    mine = mine[mine["split"] == "train"].sort_values("step").head(4)
    task = tasks.find(name)
    trial = Trial(task, task.setting(), model, optimizer, 0, float(mine["learning_rate"].iloc[0]))
    training = Training(trial, task.load(None, task.setting()))
    training._peak = lambda batch: math.nan  # is slow
    fresh = frame(list(islice((row for row in training.rows() if row.split == "train"), 4)))
    counts = [column for column in fresh if column.startswith(("nfe", "accepted", "rejected"))]
    pd.testing.assert_frame_equal(fresh[counts], mine[counts].reset_index(drop=True), check_dtype=False)
    assert fresh["loss"].to_numpy() == pytest.approx(mine["loss"].to_numpy(), rel=1e-4)
    assert set(fresh["parameters"]) == set(mine["parameters"])


def made(optimizer: str, rate: float, seed: int, end: float, seconds: float, message: str = "") -> list[Row]:
    """Forty steps whose loss falls from 2 to `end`, with an evaluation after the last."""
    losses = [2 * (end / 2) ** (i / 39) for i in range(40)]
    about = ("made", "M", optimizer, rate, seed, 100)
    rows = [
        Row(
            *about,
            i + 1,
            i // 4 + 1,
            "train",
            x,
            nfe_forward=20,
            nfe_backward=26,
            cpu_seconds=seconds * (i + 1),
            message=message if i == 39 else "",
        )
        for i, x in enumerate(losses)
    ]
    return [*rows, Row(*about, 40, 10, "test", end, nfe_forward=20)]


def folder_of_a_run(folder: Path, finished: str | None) -> Path:
    rows = []
    for seed in (100, 0, 1, 2):
        wobble = math.exp(0.02 * seed) if seed < 100 else 1.0
        for rate, end in ((0.01, 0.9), (0.1, 0.02 * wobble)):
            rows += made("snopt", rate, seed, end, 0.1) if seed == 100 or rate == 0.1 else []
        for rate, stop in ((0.02, ""), (0.2, "the loss is nan")):
            rows += made("sgd", rate, seed, 0.3, 0.1, stop) if seed == 100 or not stop else []
        rows += made("adam", 0.01, seed, 0.1, 0.2)
    folder.mkdir()
    frame(rows).to_parquet(folder / "training.parquet")
    setting = {"name": "default", "epochs": 10, "batch": 5, "tolerance": 1e-3, "clip": 1.0}
    command = ["odecheck", "train", "made", "--run", "/somewhere", "--tune", "1"]
    facts = {
        "cases": {"setting": setting},
        "command": command,
        "versions": {"torch": "2"},
        "trials": [],
        "finished": finished,
    }
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def test_a_run_becomes_a_section_with_its_grid_its_figures_and_its_verdict(tmp_path) -> None:
    run = folder_of_a_run(tmp_path / "one", "2026-01-01")
    study.main(f"--keep={run}", str(tmp_path / "reports"))
    text = (tmp_path / "reports" / "training.md").read_text()
    assert "| SNOPT-13 | one | **holds** | 2 holds |" in text
    assert "`odecheck train made --tune 1`" in text and "/somewhere" not in text
    assert "gradients clipped at 1; seeds 0, 1, 2." in text
    # the grid: the best in bold, with the mean of its last five steps; one that stopped; one that was not tried
    best = sum(2 * 0.01 ** (i / 39) for i in range(35, 40)) / 5
    assert f"| 0.1 | **{best:.3g}** | – | – |" in text and "| 0.2 | – | stopped 1 of 1 | – |" in text
    # Adam's forty steps take 8 s, those of the others 4
    assert "Equal CPU time: 4.0 s" in text
    for figure in ("loss", "nfe"):
        assert f"training-one-{figure}.png" in text
        assert (tmp_path / "reports" / f"training-one-{figure}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_run_that_has_not_ended_is_not_kept(tmp_path) -> None:
    run = folder_of_a_run(tmp_path / "one", None)
    with pytest.raises(BadInput, match="has not ended"):
        study.keep(run, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()
