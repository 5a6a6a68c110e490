"""Rows and checkpoints of a training that was interrupted."""

from __future__ import annotations

import os
from contextlib import suppress

import pandas as pd
import pytest
import torch

from odecheck.errors import BadInput
from odecheck.records.table import read_table
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


def interrupted(folder) -> None:
    for count, _row in enumerate(train(trial(), DATA, folder, every=0.0)):
        if count == 3:
            break


def same(rows) -> list[str]:
    return [repr((one.step, one.split, one.loss)) for one in rows]


def test_no_changed_byte_of_a_checkpoint_is_believed(tmp_path) -> None:
    interrupted(tmp_path)
    path = tmp_path / "checkpoint.pt"
    whole, journal = path.read_bytes(), (tmp_path / "rows.jsonl").read_bytes()
    state = torch.load(path, weights_only=True)
    tensor = next(iter(state["module"].values())).numpy().tobytes()
    refused = 0
    for place in (whole.index(tensor) + 3, whole.index(b"PK"), len(whole) // 2, whole.rindex(tensor[:8])):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        rows = None
        with suppress(BadInput):
            rows = list(train(trial(), DATA, tmp_path))
        # or a byte that says nothing
        assert rows is None or same(rows) == same(train(trial(), DATA, None))
        refused += rows is None
        for name in ("rows.parquet", "rows.jsonl"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "rows.jsonl").write_bytes(journal)
    assert refused >= 2


@pytest.mark.parametrize("change", [{"name": "another"}, {"step": "two"}, {"module": {}}, {"stepper": {}}, None])
def test_a_state_of_another_training_is_refused(tmp_path, change) -> None:
    interrupted(tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["checksum"]  # as an older odecheck wrote it, or somebody by hand
    torch.save([state] if change is None else {**state, **change}, path)
    with pytest.raises(BadInput, match=r"checkpoint") as caught:
        list(train(trial(), DATA, tmp_path))
    assert "rm -r" in caught.value.fix


def test_an_empty_checkpoint_and_a_pipe_are_refused(tmp_path) -> None:
    interrupted(tmp_path)
    path = tmp_path / "checkpoint.pt"
    for make in (path.touch, lambda: os.mkfifo(path), path.mkdir):
        path.unlink()
        make()
        with pytest.raises(BadInput, match="cannot be read"):
            list(train(trial(), DATA, tmp_path))


def test_a_row_that_was_changed_is_told_and_trained_again(tmp_path) -> None:
    interrupted(tmp_path)
    journal = tmp_path / "rows.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"step": 1', b'"step": 2')
    journal.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match=r"rows.jsonl, line 1: not what was written.*begins anew"):
        rows = list(train(trial(), DATA, tmp_path))
    assert same(rows) == same(train(trial(), DATA, None))


def test_a_table_of_rows_that_was_changed_is_refused(tmp_path) -> None:
    list(train(trial(), DATA, tmp_path))
    table = tmp_path / "rows.parquet"
    rows = pd.read_parquet(table)
    assert read_table(table).checked
    table.write_bytes(table.read_bytes()[:-50])
    with pytest.raises(BadInput, match=r"rows.parquet cannot be read"):
        list(train(trial(), DATA, tmp_path))
    rows.drop(columns="loss").to_parquet(table)
    with pytest.raises(BadInput, match="other columns"):
        list(train(trial(), DATA, tmp_path))
