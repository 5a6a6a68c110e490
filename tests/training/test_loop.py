"""Training: rows as they come, the same numbers again after any interruption, divergence as a row."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import pandas as pd
import pytest
import torch

from odecheck.training.loop import Training, train
from odecheck.training.rows import Unit, last
from odecheck.training.task import Outcome
from tests.bench.stand_in import a_gpu
from tests.training.spheres import DATA, SHORT, SPHERES, numbers, trial


@pytest.mark.parametrize("model", SPHERES.models)
def test_a_row_for_each_step_and_evaluation(model) -> None:
    rows = list(train(trial(model), DATA))
    steps = [row for row in rows if row.split == "train"]
    assert [row.step for row in steps] == [1, 2, 3, 4, 5, 6]
    assert [row.step for row in rows if row.split == "test"] == [2, 4, 6]
    assert all(row.message == "" and row.nfe_forward > 0 and row.nfe_backward > 0 for row in steps)
    assert all(a.cpu_seconds < b.cpu_seconds for a, b in pairwise(steps))
    assert steps[0].peak_bytes > 0


def test_dopri5_evaluates_two_times_and_six_times_a_step() -> None:
    """Two evaluations to begin (the first step's size), six for each attempt; in the adjoint solve as well."""
    for row in train(trial("HBNODE"), DATA):
        assert row.nfe_forward == 2 + 6 * (row.accepted_forward + row.rejected_forward)
        if row.split == "train":
            assert row.nfe_backward == 2 + 6 * (row.accepted_backward + row.rejected_backward)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "snopt"])
def test_training_goes_on_bit_for_bit(optimizer, tmp_path) -> None:
    """A training that is given up after every third row and begun again from its folder, against one that is not."""
    one = trial("HBNODE", optimizer, rate=0.01)
    whole = list(train(one, DATA))
    for _ in range(20):
        for count, _row in enumerate(train(one, DATA, tmp_path, every=0.0)):
            if count >= len(Unit(tmp_path).rows) + 2:
                break
        if Unit(tmp_path).ended:
            break
    assert Unit(tmp_path).ended
    assert numbers(train(one, DATA, tmp_path)) == numbers(whole)
    fresh = Training(one, DATA)
    list(fresh.rows())
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(saved["module"][k], v) for k, v in fresh.module.state_dict().items())


def test_batches_and_random_numbers_go_on_too(tmp_path) -> None:
    """In the middle of an epoch, with a loss that draws noise."""

    class Noisy(type(SPHERES)):
        def loss(self, module, batch):
            outcome = super().loss(module, batch)
            return Outcome(outcome.loss * (1 + 0.1 * torch.rand(())), outcome.right)

    task = Noisy(**{k: getattr(SPHERES, k) for k in ("name", "summary", "source", "settings")})
    one = trial(setting=replace(SHORT, batch=20, epochs=3, evaluate_every=None), task=task)
    whole = numbers(train(one, DATA))
    for count, _row in enumerate(train(one, DATA, tmp_path, every=0.0)):
        if count == 4:
            break
    assert numbers(train(one, DATA, tmp_path)) == whole
    assert len({row["loss"] for row in whole}) == len(whole)


@pytest.mark.parametrize("optimizer", ["sgd", "snopt"])
def test_divergence_is_a_row(optimizer, tmp_path) -> None:
    rows = list(train(trial(optimizer=optimizer, rate=1e6), DATA, tmp_path))
    assert rows[-1].message and not any(row.message for row in rows[:-1])
    assert len(rows) < 9 and Unit(tmp_path).ended
    assert last(pd.DataFrame(map(asdict, rows)))["message"].iloc[0]


def test_another_error_is_an_error() -> None:
    class Wrong(type(SPHERES)):
        def loss(self, module, batch):
            raise AssertionError("a mistake of this task's author")

    task = Wrong(**{k: getattr(SPHERES, k) for k in ("name", "summary", "source", "settings")})
    with pytest.raises(AssertionError, match="a mistake"):
        list(train(trial(task=task), DATA))


def test_an_evaluation_changes_nothing() -> None:
    """Neither the model nor the random numbers: with an evaluation at every step, and with one at the end."""
    often = [r for r in train(trial(setting=replace(SHORT, evaluate_every=1)), DATA) if r.split == "train"]
    once = [r for r in train(trial(setting=replace(SHORT, evaluate_every=6)), DATA) if r.split == "train"]
    assert numbers(often) == numbers(once)


def test_a_training_stays_on_its_gpu(monkeypatch) -> None:
    """Everything that a step makes is made where the model is."""
    with a_gpu(monkeypatch) as gpu:
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=None: torch.zeros(4, dtype=torch.uint8))
        rows = list(
            train(trial("GHBNODE", "snopt", setting=replace(SHORT, epochs=1, evaluate_every=1)), DATA, device="cuda")
        )
    assert [row.split for row in rows] == ["train", "test"]
    assert all(row.message == "" for row in rows)
    assert gpu.reads and not gpu.mixed
