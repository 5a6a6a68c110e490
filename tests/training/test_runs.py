"""Learning rates that a run chooses itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.training import runs

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
