"""Rows and checkpoints of a training that was interrupted."""

from __future__ import annotations

import pytest

from odecheck.errors import BadInput
from odecheck.training.loop import train
from odecheck.training.rows import Row, Unit, frame, last, read
from tests.training.spheres import DATA, trial


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


def row(step: int, split: str = "train", **more) -> Row:
    return Row("made", "M", "sgd", 0.1, 0, 3, step, 1, split, 1.0 / step, **more)


def test_the_last_row_has_the_means_of_counts_and_the_last_evaluation() -> None:
    steps = [row(1, nfe_forward=10.0), row(2, nfe_forward=20.0, message="stopped")]
    (end,) = last(frame([*steps, row(1, "test"), row(2, "test", accuracy=0.75)])).to_dict("records")
    assert (end["step"], end["loss"], end["nfe_forward"], end["message"]) == (2, 0.5, 15.0, "stopped")
    assert (end["test_loss"], end["test_accuracy"]) == (0.5, 0.75)


def test_rows_of_a_unit_become_its_table(tmp_path) -> None:
    unit = Unit(tmp_path)
    unit.add(row(1))
    unit.finish()
    again = Unit(tmp_path)
    assert again.ended and [one.step for one in again.rows] == [1]
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_folder_without_rows_is_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match="there are no training rows"):
        read(tmp_path)
