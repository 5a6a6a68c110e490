"""Runs of many trainings: killed ones go on, others are refused, and rates are chosen by seeds of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from odecheck.errors import BadInput
from odecheck.ledger.training_claims import best_rate
from odecheck.records.run_folder import read_facts
from odecheck.training import runs
from odecheck.training.rows import COLUMNS, MEASURED, read
from odecheck.training.runs import run, trials
from odecheck.training.search import draws, told
from tests.training.spheres import DATA, SHORT, SPHERES, trial


def test_a_killed_process_loses_nothing(tmp_path) -> None:
    """kill -9 in the middle of a run; the same command with --resume gives the rows of a run that was left alone."""
    command = [
        sys.executable,
        "-c",
        "from odecheck.commands.cli import main; main()",
        "train",
        "spheres",
        "--model",
        "NODE,HBNODE",
        "--epochs",
        "40",
        "--checkpoint",
        "0.05",
        "--run",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([*command, str(tmp_path / "a")], env=environment, stderr=subprocess.DEVNULL)
    journal = tmp_path / "a" / "units" / "NODE-adam-0.01-0" / "rows.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 15):
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert journal.exists() and not (tmp_path / "a" / "training.parquet").exists()
    assert len(read(tmp_path / "a")) > 15  # readable as it stands
    done = subprocess.run([*command, str(tmp_path / "a"), "--resume"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = list(
        run(
            trials(SPHERES, replace(SPHERES.setting(), epochs=40), ["NODE", "HBNODE"], ["adam"], [0]),
            DATA,
            tmp_path / "b",
        )
    )
    again = pd.read_parquet(tmp_path / "a" / "training.parquet").sort_values(["model", "split", "step"])
    whole = pd.read_parquet(tmp_path / "b" / "training.parquet").sort_values(["model", "split", "step"])
    assert len(left) == len(whole)
    same = [column for column in COLUMNS if column not in MEASURED]
    pd.testing.assert_frame_equal(
        again[same].reset_index(drop=True), whole[same].reset_index(drop=True), check_exact=True
    )


def test_a_run_is_not_written_over_and_belongs_to_one_setting(tmp_path) -> None:
    todo = trials(SPHERES, SHORT, ["NODE"], ["adam"], [0])
    list(run(todo, DATA, tmp_path))
    with pytest.raises(BadInput, match="already holds a run"):
        list(run(todo, DATA, tmp_path))
    with pytest.raises(BadInput, match=r"another epochs: \d+, and not 7"):
        list(run([trial(setting=replace(SHORT, epochs=7))], DATA, tmp_path, resume=True))
    list(run(trials(SPHERES, SHORT, ["NODE"], ["adam"], [0, 1]), DATA, tmp_path, resume=True))
    assert set(pd.read_parquet(tmp_path / "training.parquet")["seed"]) == {0, 1}


TRIED = replace(SPHERES.setting(), epochs=12, evaluate_every=12)


def tried(folder: Path, rates: tuple[float, ...]) -> list[runs.Trial]:
    found = runs.tuning(SPHERES, TRIED, ["NODE"], ["sgd", "adam"], 1, rates)
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
        runs.tuning(SPHERES, TRIED, ["NODE"], ["sgd"], count, rates)


def test_the_best_draw_goes_on_with_its_knobs(tmp_path) -> None:
    """As many draws of each; rows say what was drawn, and judging seeds have what was best on the tuning one."""
    trials = runs.tuning(SPHERES, TRIED, ["NODE"], ["sgd", "adam"], 1, [], search=2)
    assert [(t.optimizer, t.rate, t.knobs) for t in trials] == [
        (name, one.rate, one.knobs) for name in ("sgd", "adam") for one in draws(name, 2)
    ]
    list(runs.run(trials, DATA, tmp_path))
    rows = pd.read_parquet(tmp_path / "training.parquet")
    assert set(rows["knobs"]) == {told(t.knobs) for t in trials} and "" not in set(rows["knobs"])
    chosen = runs.at_best_rates(trials, tmp_path, [0, 1])
    for one in chosen:
        mine = rows[(rows["optimizer"] == one.optimizer)]
        assert one.rate == best_rate(mine) and one.knobs == next(t.knobs for t in trials if t.rate == one.rate)
    assert len({t.name for t in [*trials, replace(trials[0], knobs=())]}) == 5


@pytest.mark.parametrize(("count", "rates", "search"), [(0, [], 4), (1, [], 1), (1, [0.1], 4)])
def test_a_search_without_a_choice_is_refused(count, rates, search) -> None:
    with pytest.raises(BadInput, match="--tune 2 --search 8"):
        runs.tuning(SPHERES, TRIED, ["NODE"], ["sgd"], count, rates, search)


def test_a_training_that_takes_longer_than_its_cap_is_stopped_and_not_chosen(tmp_path) -> None:
    """The cap is that of each: with one of no time at all the first step is the last one, and says why."""
    trials = runs.tuning(SPHERES, TRIED, ["NODE"], ["sgd"], 1, (0.03, 0.1))
    rows = list(runs.run(trials, DATA, tmp_path / "none", cap=0.0))
    assert [row.step for row in rows] == [1, 1] and all("cap of 0 CPU s" in row.message for row in rows)
    with pytest.raises(BadInput, match=r"every training of NODE with sgd was stopped .*cap of 0 CPU s"):
        runs.at_best_rates(trials, tmp_path / "none", [0])
    assert not any(row.message for row in runs.run(trials, DATA, tmp_path / "enough", cap=1e6))


def test_a_run_that_takes_longer_than_its_cap_is_interrupted_and_goes_on(tmp_path) -> None:
    todo = trials(SPHERES, SHORT, ["NODE"], ["adam"], [0, 1])
    first = list(run(todo[:1], DATA, tmp_path))
    spent = max(row.cpu_seconds for row in first)
    with pytest.raises(BadInput, match="--run-cap and --resume"):
        list(run(todo, DATA, tmp_path, resume=True, most=spent * 1.001))
    assert pd.read_parquet(tmp_path / "training.parquet")["seed"].nunique() == 1
    list(run(todo, DATA, tmp_path, resume=True, most=1e6))
    assert pd.read_parquet(tmp_path / "training.parquet")["seed"].nunique() == 2


def test_what_was_fixed_before_is_in_the_facts_and_may_not_change(tmp_path) -> None:
    todo, fixed = trials(SPHERES, SHORT, ["NODE"], ["adam"], [0]), {"tuning": {"draws": 8, "cap": 30.0}}
    list(run(todo, DATA, tmp_path, fixed=fixed))
    assert read_facts(tmp_path)["cases"]["tuning"] == fixed["tuning"]
    with pytest.raises(BadInput, match=r"another cap: 30.0, and not 60.0"):
        list(run(todo, DATA, tmp_path, resume=True, fixed={"tuning": {"draws": 8, "cap": 60.0}}))
