"""doctor says what is here and what is not, and explains every extra that there is."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.commands import doctor as command
from odecheck.commands.cli import app
from odecheck.commands.doctor import ADDS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def run(monkeypatch, tmp_path, asked: list[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "requires", lambda _: asked)
    return CliRunner().invoke(app, ["doctor"])


def test_every_extra_is_explained():
    assert set(ADDS) == set(PROJECT["optional-dependencies"])


def test_what_is_needed_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv("ODECHECK_DATA", str(tmp_path / "nowhere"))
    done = run(
        monkeypatch,
        tmp_path,
        ["torch>=2.4", "none-such>=1; python_version < '3'", "no-such-package>=1; extra == 'dask'"],
    )
    assert done.exit_code == 0 and done.output.startswith("READY: ") and done.output.splitlines()[-1][:5] == "READY"
    for part in ("torch         2.", "cores", "GPU", "nowhere: No such file or directory", "missing: no-such-package"):
        assert part in done.output, part
    assert 'pip install "odecheck[dask]"' in done.output


@pytest.mark.parametrize("asked", ["no-such-package>=1", "typer<0.1", "torch[extra]>=1000"])
def test_what_is_missing_or_of_another_version_is_1(monkeypatch, tmp_path, asked):
    pytest.importorskip("packaging")
    done = run(monkeypatch, tmp_path, [asked])
    assert done.exit_code == 1 and done.output.startswith("NOT READY: ") and asked[:5] in done.output


def test_a_torch_that_is_broken_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run(monkeypatch, tmp_path, [])
    assert done.exit_code == 1 and "torch cannot be imported" in done.output and "Traceback" not in done.output
