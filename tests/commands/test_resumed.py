"""A run is gone on with as it was asked for; what its run.json says stays data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.records.facts import OLDER
from odecheck.records.journal import CHECKSUM
from odecheck.records.run_folder import read

MODEL = """
import torch
class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([[0.1, 0.2], [0.3, -0.4]]))
    def forward(self, t, y):
        return torch.tanh(y @ self.a)
net = Field()
net.example_state = torch.ones(1, 2)
"""
FIRST = ("verify", "resumed_model.py:net", "--times", "[0, 0.5]", "--claim", "SOL-1.1,SOL-9", "--subject", "backprop")


def run(*arguments: str):
    return CliRunner().invoke(app, [*arguments, "--workers", "1"])


@pytest.fixture
def begun(tmp_path, monkeypatch) -> Path:
    """A folder with a run of which one case was not asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "resumed_model", raising=False)
    (tmp_path / "resumed_model.py").write_text(MODEL)
    done = run(*FIRST, "--budget", "1e-9", "--run", "here", "--seed", "3", "-q")
    assert done.exit_code == 0 and "1 was not asked" in done.output, done.output
    return tmp_path


def test_nothing_has_to_be_typed_again(begun):
    done = run("verify", "--run", "here", "--resume")
    assert done.exit_code == 0, done.output
    assert "going on with odecheck verify resumed_model.py:net --claim SOL-1.1,SOL-9" in done.stderr
    facts, records = read("here")
    assert [record.claim for record in records] == ["SOL-1.1", "SOL-9"] and facts["seed"] == 3


def test_what_is_typed_takes_the_place_of_what_was_kept(begun):
    done = run("verify", "--run", "here", "--resume", "--claim", "SOL-9")
    assert done.exit_code == 2 and "has other claims" in done.output
    assert run("verify", "--run", "here", "--resume", "--seed", "4").exit_code == 2


def _edited(**changes: object) -> None:
    facts = json.loads(Path("here/run.json").read_text())
    facts["arguments"].update(changes)
    facts.pop(CHECKSUM, None)
    facts["schema"] = OLDER
    Path("here/run.json").write_text(json.dumps(facts))


def test_what_no_command_writes_is_refused(begun):
    kept = Path("here/run.json").read_text()
    for changes in ({"seed": "4"}, {"targets": [1]}, {"targets": "a.py"}, {"strict": 1}, {"rtol": []}):
        Path("here/run.json").write_text(kept)
        _edited(**changes)
        done = run("verify", "--run", "here", "--resume")
        assert done.exit_code == 2 and "is of no run" in done.output, changes


def test_a_file_elsewhere_is_not_run_because_a_run_says_so(begun, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "elsewhere.py"
    other.write_text("raise SystemExit('it was run')")
    for target in (f"{other}:net", f"../{other.parent.name}/elsewhere.py", "a\0.py:net"):
        _edited(targets=[target])
        done = run("verify", "--run", "here", "--resume")
        assert done.exit_code == 2 and "which is not below this folder" in done.output, done.output
        assert "it was run" not in done.output


def test_a_file_of_the_run_folder_is_not_run_because_it_says_so(begun):
    Path("here/inside.py").write_text("raise SystemExit('it was run')")
    for target in ("here/inside.py:net", "here.inside:net"):
        _edited(targets=[target])
        done = run("verify", "--run", "here", "--resume")
        assert done.exit_code == 2 and "which is in it" in done.output, done.output


def test_a_run_of_before_is_asked_for_as_before(begun):
    facts = json.loads(Path("here/run.json").read_text())
    del facts["arguments"], facts[CHECKSUM]
    facts["schema"] = OLDER
    Path("here/run.json").write_text(json.dumps(facts))
    assert run(*FIRST, "--run", "here", "--resume", "--seed", "3").exit_code == 0
