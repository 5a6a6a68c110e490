"""A suite for a package of one's own: written for a target, run by asv at commits that differ, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.bench import Suite, changes, exit_status, read_series, run_commits
from odecheck.bench.solves import Solves, write_suite
from odecheck.commands.cli import app
from odecheck.errors import BadInput
from tests.scratch_history import git

MODEL = """import torch
from torch import nn


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor([{rate}], dtype=torch.float64))

    def forward(self, t, y):
        return -self.rate * y


net = Decay()
net.example_state = torch.tensor([[1.0]], dtype=torch.float64)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a model, with a commit before it was there."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "notes.txt").write_text("nothing yet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "nothing yet")
    return tmp_path


def commit(folder: Path, rate: float, name: str = "decay") -> str:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / f"{name}.py").write_text(MODEL.format(rate=rate))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", f"rate {rate}")
    return git(folder, "rev-parse", "HEAD").strip()


def test_what_is_written_runs_at_every_commit_and_finds_what_became_dearer(project: Path):
    pytest.importorskip("asv")
    first = git(project, "rev-parse", "HEAD").strip()
    small = commit(project, 1.0)
    done = CliRunner().invoke(app, ["bench", "init", "models/decay.py:net"])
    assert done.exit_code == 0, done.output
    assert "odecheck bench HEAD~5..HEAD" in done.output and "torchdiffeq adjoint" in done.output
    stiffer = commit(project, 20.0)
    suite = Suite.load(project / "asv_bench" / "asv.conf.json")
    assert ".asv/" in (project / "asv_bench" / ".gitignore").read_text()
    ran = run_commits(suite, [first, small, stiffer], machine="m", bench="track_(nfe_solution|error_gradient)")
    assert [one.status for one in ran] == [0, 0, 0], ran[-1].output
    series = read_series(suite, "m", [first, small, stiffer])
    nfe = next(s for s in series if s.name == "solves.Own.track_nfe_solution(torchdiffeq adjoint, 0.001)")
    assert [p.state for p in nfe.points] == ["missing", "measured", "measured"]
    assert nfe.points[1].value < nfe.points[2].value and nfe.kind == "count"
    errors = [s for s in series if "track_error_gradient" in s.name]
    assert len(errors) == 4 and {s.kind for s in errors} == {"error"}
    off = {s.params: s.points[1].value for s in errors}
    for engine in ("torchdiffeq backprop", "torchdiffeq adjoint"):
        assert 0 < 100 * off[engine, "1e-06"] < off[engine, "0.001"] < 0.1
    found = changes(series)
    assert exit_status(found) == 1 and any(c.series == nfe.name and c.direction == "worse" for c in found)


def test_a_target_of_the_repository_is_named_from_its_folder(project: Path, monkeypatch: pytest.MonkeyPatch):
    commit(project, 1.0, "near")
    monkeypatch.chdir(project / "models")
    made = write_suite("near.py:net", Path("asv_bench/asv.conf.json"))
    assert "target = 'models/near.py:net'" in made.files[-1].read_text()
    assert json.loads(made.files[0].read_text())["repo"] == os.path.join("..", "..")
    assert made.tolerances == (1e-3, 1e-6)


def test_what_a_commit_does_not_have_is_skipped():
    class Gone(Solves):
        target = "no_such_module_here:net"

    with pytest.raises(NotImplementedError, match="no_such_module_here"):
        Gone().setup("torchdiffeq adjoint", 1e-3)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["init"], "is no target"),
        (["init", "models/refused.py:gone"], "gone"),
        (["init", "/etc/hostname.py:net"], "not in the repository"),
        (["init", "models/refused.py:net", "--quick"], "init runs nothing"),
        (["HEAD", "models/refused.py:net"], "behind a range"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is(project: Path, words: list[str], seen: str):
    commit(project, 1.0, "refused")
    done = CliRunner().invoke(app, ["bench", *words])
    assert done.exit_code == 2 and seen in done.output, done.output
    assert not (project / "asv_bench").exists()


def test_a_suite_is_not_overwritten_and_needs_a_repository(project: Path, tmp_path_factory: pytest.TempPathFactory):
    commit(project, 1.0, "once")
    write_suite("models/once.py:net", Path("asv_bench/asv.conf.json"))
    with pytest.raises(BadInput, match="already holds"):
        write_suite("models/once.py:net", Path("asv_bench/asv.conf.json"))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with pytest.raises(BadInput, match="no git repository"):
        write_suite("models/once.py:net", elsewhere / "asv.conf.json")
