"""A training script that is run and watched, by a function and by the command."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.records.run_folder import read
from odecheck.watching.script import watch_script

TRAIN = """
import argparse
import torch
from torch import nn
from torchdiffeq import odeint_adjoint

arguments = argparse.ArgumentParser()
arguments.add_argument("--rtol", type=float, default=1e-5)
arguments.add_argument("--forget", action="store_true")
given = arguments.parse_args()
torch.manual_seed(0)

class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.more = [nn.Linear(2, 2)] if given.forget else []

    def forward(self, t, y):
        return torch.tanh(self.net(y)) + sum(layer(y) for layer in self.more)

def main():
    field = Field()
    optimizer = torch.optim.Adam(field.parameters())
    for step in range(5):
        optimizer.zero_grad()
        y = odeint_adjoint(field, torch.ones(3, 2), torch.tensor([0.0, 1.0]), rtol=given.rtol, atol=1e-6)
        y[-1].square().mean().backward()
        optimizer.step()
    print("trained to the end")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    return CliRunner()


def test_the_command_runs_a_script_up_to_its_first_step(script, tmp_path):
    done = script.invoke(app, ["watch", "--run", "watched", "--json", "records.json", "train.py", "--rtol", "1e-4"])
    assert done.exit_code == 0, done.output
    assert "train.py:" in done.output
    assert "1e-04" in done.output
    assert "trained to the end" not in done.output
    facts, records = read(tmp_path / "watched")
    assert facts["watched"] == {"script": "train.py", "arguments": ["--rtol", "1e-4"]}
    assert {r.claim for r in records} == {"WATCH-1", "WATCH-2", "WATCH-3", "WATCH-5"}
    assert len(json.loads((tmp_path / "records.json").read_text())["records"]) == len(records)


def test_the_command_finds_a_mistake_and_says_so_by_its_status(script):
    done = script.invoke(app, ["watch", "--steps", "2", "train.py", "--forget"])
    assert done.exit_code == 1, done.output
    assert "step 2 of 2" in done.output
    assert "more[0].weight is lost" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "there is no script nowhere.py"),
        (["train.py", "--no-such-option"], "made no ODE solve"),
        (["--run", "train.py", "train.py"], "cannot write --run"),
    ],
)
def test_bad_input_is_refused_with_what_to_type(script, arguments, said):
    done = script.invoke(app, ["watch", *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert "what to type" in done.output


def test_a_script_is_left_after_its_steps_and_python_is_as_it_was(script, tmp_path, capsys):
    before = list(sys.argv), list(sys.path)
    seen = watch_script(tmp_path / "train.py", ["--rtol", "1e-4"], steps=2)
    assert len(seen.steps) == 2 and seen.failure == ""
    assert [len(step.calls) for step in seen.steps] == [1, 1]
    assert (sys.argv, sys.path) == before and "trained" not in capsys.readouterr().out


def test_an_exception_of_a_script_is_text(script, tmp_path):
    (tmp_path / "torn.py").write_text("raise KeyError('weights')")
    seen = watch_script(tmp_path / "torn.py")
    assert seen.steps == [] and "KeyError: 'weights'" in seen.failure
