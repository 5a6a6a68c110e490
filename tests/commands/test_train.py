"""What `odecheck train` and `odecheck tasks` refuse."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner


def said(*arguments):
    from odecheck.commands.cli import app

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
        (("train", "spheres", "--search", "4"), "0 seeds choose among 4 draws"),
        (("train", "spheres", "--seeds", "0"), "--seeds is '0'"),
        (("train", "spheres", "--seeds", "1.5"), "--seeds is '1.5'"),
        (("train", "spheres", "--seeds", "10-"), "--seeds is '10-'"),
        (("train", "spheres", "--looks", "3,5", "--seeds", "5"), "--looks is given without --sequential"),
        (("train", "spheres", "--sequential", "--tune", "1", "--search", "2"), "--sequential is given with --tune"),
        (("train", "spheres", "--sequential", "--seeds", "5", "--looks", "2.5,5"), "--looks is '2.5,5'"),
        (("train", "spheres", "--sequential", "--seeds", "5", "--looks", "nan,5"), "--looks is 'nan,5'"),
        (("train", "spheres", "--sequential", "--seeds", "5", "--looks", "3,inf"), "--looks is '3,inf'"),
        (("train", "spheres", "--seeds", "nan"), "--seeds is 'nan'"),
        (("train", "spheres", "--sequential", "--seeds", "5", "--looks", "3,4"), "--looks 5,8,12,18"),
        (("train", "spheres", "--sequential", "--seeds", "98-102"), "the seed 102"),
        (("train", "spheres", "--draw-cap", "5"), "--draw-cap is given without --tune"),
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


def test_a_sequential_run_says_what_it_decided(tmp_path) -> None:
    """Three seeds of six steps, in which both models need equally many evaluations."""
    command = ("train", "spheres", "--epochs", "6", "--model", "NODE,HBNODE", "--run", str(tmp_path))
    result = said(*command, "--sequential", "--seeds", "10-12")
    assert result.exit_code == 0, result.output
    assert "HB-9 forward NFE, HBNODE / NODE: 1 (1 … 1), no difference, look 1 of 1" in result.output
    other = said(*command, "--seeds", "10-12", "--resume")
    assert other.exit_code == 2 and "began with another design" in other.output


def test_an_end_time_is_trained_from_the_command_to_its_page(tmp_path, monkeypatch) -> None:
    """Of 32 images; interrupted by an error after the first model, and gone on with."""
    from odecheck import tasks
    from odecheck.report.reader import read_all
    from odecheck.report.sections.training import section
    from odecheck.training.rows import read

    task = tasks.find("digits-end-time")
    whole = task.load(None, task.setting())
    few = type(whole)(*(tuple(part[:32] for part in split) for split in whole))
    monkeypatch.setattr(type(task), "load", lambda *_: few)
    command = ("train", "digits-end-time", "--epochs", "10", "--optimizer", "sgd", "--run", str(tmp_path))
    first = said(*command, "--model", "ConvNODE")
    assert first.exit_code == 0 and "ConvNODE" in first.output, first.output
    rest = said(*command, "--resume")
    assert rest.exit_code == 0 and "ConvNODE-feedback" in rest.output and "end" in rest.output, rest.output
    rows = read(tmp_path)
    ends = rows[(rows["split"] == "train") & (rows["step"] == 10)].set_index("model")["end_time"]
    assert ends["ConvNODE"] == 1.0 > max(ends["ConvNODE-descent"], ends["ConvNODE-feedback"])
    page = section(read_all([tmp_path]))
    assert page is not None and any("end time as training goes on" in getattr(b, "title", "") for b in page.blocks)
