"""What the commands share: a device that is not here is refused in words."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.commands.common import check_device
from odecheck.errors import BadInput


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ["train spheres", "cost"])
def test_a_gpu_that_is_not_there_is_refused_in_words(command, tmp_path):
    words = [*command.split(), "--device", "cuda", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
    said = " ".join(done.output.split())
    assert "no device 'cuda' here" in said and "no GPU" in said and "--device cpu" in said


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CUDA", "mps"])
def test_a_name_that_is_no_device_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput):
        check_device(device)


def test_one_of_several_gpus_can_be_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for there in ("cpu", "cuda", "cuda:0", "cuda:1"):
        check_device(there)
    with pytest.raises(BadInput, match="there are 2 GPUs"):
        check_device("cuda:2")
