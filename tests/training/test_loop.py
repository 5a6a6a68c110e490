"""Training: rows as they come, the same numbers again after any interruption, divergence as a row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.fields import NODE, Autonomous, NODELayer
from odecheck.solvers import Adaptive
from odecheck.training.loop import Training, Trial, train
from odecheck.training.meter import Meter
from odecheck.training.rows import COLUMNS, MEASURED, Unit, last, read
from odecheck.training.runs import run, trials
from odecheck.training.task import MODELS, Outcome

SPHERES = tasks.find("spheres")
SHORT = replace(SPHERES.setting(), epochs=6, evaluate_every=2)
DATA = SPHERES.load(None, SHORT)


def trial(model="NODE", optimizer="adam", seed=0, rate=None, setting=SHORT, task=SPHERES):
    return Trial(task, setting, model, optimizer, seed, rate)


def numbers(rows):
    """The rows without times and memory."""
    return [{k: repr(v) for k, v in asdict(row).items() if k not in MEASURED} for row in rows]


@pytest.mark.parametrize("name", sorted(tasks.every()))
def test_a_task_says_where_it_comes_from_and_what_it_needs(name) -> None:
    task = tasks.find(name)
    assert task.name == name and task.summary and task.source and task.models
    assert len({s.name for s in task.settings}) == len(task.settings)
    assert all(set(s.size) == set(task.models) for s in task.settings)
    assert bool(task.data) == any(s.needs_data for s in task.settings)


WITH_DEFAULT = [name for name, task in tasks.every().items() if not task.setting().needs_data]
PAPERS = [n for n in WITH_DEFAULT if set(tasks.find(n).models) == set(MODELS) and n != "silverbox-start"]


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("at", [0, -1])
def test_models_have_equal_parameter_counts(name, at) -> None:
    task = tasks.find(name)
    setting = task.settings[at]
    data = task.load(None, task.setting())
    counts = [sum(p.numel() for p in task.build(m, setting, data).parameters()) for m in task.models]
    assert max(counts) < 1.1 * min(counts)


def test_the_published_image_models_have_the_published_sizes() -> None:
    """Those of the HBNODE paper's table: 85,316 …, and 172,916 for CIFAR-10."""
    for name, expected in (("mnist", (85316, 85462, 86179, 85930)), ("cifar10", (173611, 172452, 171635, 172916))):
        task = tasks.find(name)
        setting = task.setting("published")
        sizes = [task.build(m, setting, DATA) for m in ("NODE", "ANODE", "SONODE", "HBNODE")]
        assert tuple(sum(p.numel() for p in module.parameters()) for module in sizes) == expected


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


def test_the_meter_goes_on_calling_the_callbacks_of_a_field() -> None:
    seen = []
    field = NODE(Autonomous(torch.nn.Linear(2, 2)))
    field.callback_accept_step = lambda *_: seen.append(1)  # type: ignore[assignment]
    layer = NODELayer(field, solver=Adaptive("dopri5", rtol=1e-3))
    meter = Meter(layer)
    layer(torch.ones(1, 2))
    assert seen and meter.taken()["nfe_forward"] == 0  # in no phase
    with meter.phase("forward"):
        layer(torch.ones(1, 2))
    assert meter.taken()["accepted_forward"] == len(seen) / 2


def test_a_model_without_a_solve_cannot_be_metered() -> None:
    with pytest.raises(ValueError, match="nothing would be counted"):
        Meter(torch.nn.Linear(1, 1))


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


def test_a_killed_process_loses_nothing(tmp_path) -> None:
    """kill -9 in the middle of a run; the same command with --resume gives the rows of a run that was left alone."""
    command = [
        sys.executable,
        "-c",
        "from odecheck.cli import main; main()",
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


def test_half_a_line_is_no_row(tmp_path) -> None:
    for count, _row in enumerate(train(trial(), DATA, tmp_path, every=0.0)):
        if count == 3:
            break
    whole = Unit(tmp_path).rows
    with (tmp_path / "rows.jsonl").open("a") as journal:
        journal.write('{"task": "spheres", "mo')
    assert Unit(tmp_path).rows == whole


def test_a_torn_checkpoint_is_refused_kindly(tmp_path) -> None:
    for count, _row in enumerate(train(trial(), DATA, tmp_path, every=0.0)):
        if count == 3:
            break
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match="rm -r"):
        list(train(trial(), DATA, tmp_path))


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


def test_a_run_is_not_written_over_and_belongs_to_one_setting(tmp_path) -> None:
    todo = trials(SPHERES, SHORT, ["NODE"], ["adam"], [0])
    list(run(todo, DATA, tmp_path))
    with pytest.raises(BadInput, match="already holds a run"):
        list(run(todo, DATA, tmp_path))
    with pytest.raises(BadInput, match=r"another epochs: \d+, and not 7"):
        list(run([trial(setting=replace(SHORT, epochs=7))], DATA, tmp_path, resume=True))
    list(run(trials(SPHERES, SHORT, ["NODE"], ["adam"], [0, 1]), DATA, tmp_path, resume=True))
    assert set(pd.read_parquet(tmp_path / "training.parquet")["seed"]) == {0, 1}


def said(*arguments):
    from odecheck.cli import app

    return CliRunner().invoke(app, arguments)


def test_the_commands_refuse_what_they_do_not_know(tmp_path) -> None:
    for arguments, expected in (
        (("tasks", "sphere"), "no task 'sphere'"),
        (("train", "spheres", "--model", "NODES"), "no model 'NODES'"),
        (("train", "spheres", "--optimizer", "lion"), "no optimizer 'lion'"),
        (("train", "spheres", "--setting", "large"), "no setting 'large'"),
        (("train", "spheres", "--rate", "fast"), "--rate is 'fast'"),
        (("train", "spheres", "--rate", "-1"), "--rate has -1"),
        (("train", "spheres", "--rate", ","), "--rate is ','"),
        (("train", "spheres", "--clip", "-1"), "--clip has -1"),
        (("train", "spheres", "--seeds", "0"), "--seeds is '0'"),
        (("train", "spheres", "--seeds", "1.5"), "--seeds is '1.5'"),
        (("train", "spheres", "--device", "tpu"), "no device 'tpu'"),
        (("train", "spheres", "--resume"), "there is no run in"),
        (("train", "vibration", "--data", str(tmp_path)), "--setting light --data"),
        (("train", "vibration", "--setting", "light", "--data", str(tmp_path)), "no file plane_vibration.csv"),
        (("train", "vibration", "--setting", "light", "--data", str(tmp_path / "x")), "does not exist"),
        (("train", "vibration", "--setting", "light", "--data", __file__), "is a file"),
    ):
        result = said(*arguments, *(("--run", str(tmp_path / "run")) if arguments[0] == "train" else ()))
        assert result.exit_code == 2 and expected in result.output and "what to type" in result.output
    assert "vibration" in said("tasks").output and "hidden sizes" in said("tasks", "digits").output
    for option in ("--epochs", "--threads"):
        assert said("train", "spheres", option, "0").exit_code == 2
    assert not Path(tmp_path / "run").exists()


def test_a_run_that_is_damaged_or_of_another_command_is_not_gone_on_with(tmp_path) -> None:
    (tmp_path / "run.json").write_text("{")
    damaged = said("train", "spheres", "--run", str(tmp_path), "--resume")
    assert damaged.exit_code == 2 and "cannot be read" in damaged.output
    facts = {"schema": 1, "cases": {"claims": {}, "pairs": []}, "command": ["odecheck", "verify"], "versions": {}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    other = said("train", "spheres", "--run", str(tmp_path), "--resume")
    assert other.exit_code == 2 and "of odecheck verify, not of train" in other.output
