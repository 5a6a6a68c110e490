"""Benchmarks that cannot be run: what is said, in place of a traceback."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import pytest
from typer.testing import CliRunner

from odecheck.bench import run
from odecheck.commands.cli import app

pytest.importorskip("asv")
from tests.scratch_history import git, scratch

SETUP_FAILS = """class Solve:
    params = [[10, 20]]

    def setup(self, steps):
        if steps == 20:
            raise RuntimeError("no such size")

    def track_steps(self, steps):
        return float(steps)

    track_steps.unit = "count"
"""


@pytest.fixture
def repository(tmp_path):
    scratch(tmp_path, [{}])
    return tmp_path


def said(folder, *words, command="bench"):
    config = folder / "asv_bench" / "asv.conf.json"
    done = CliRunner().invoke(app, [command, *words, "--config", str(config), "--machine", "m"])
    return done.exit_code, " ".join(done.output.split())


def test_a_folder_that_is_no_repository(repository):
    shutil.rmtree(repository / ".git")
    status, words = said(repository, "HEAD")
    assert status == 2 and "is no git repository" in words and "git clone" in words


def test_no_configuration(tmp_path):
    status, words = said(tmp_path, "HEAD")
    assert status == 2 and "asv.conf.json" in words and "--config" in words


@pytest.mark.parametrize("span", ["nowhere", "nowhere..HEAD", "HEAD~7..HEAD"])
@pytest.mark.parametrize("command", ["bench", "regressions"])
def test_a_commit_that_is_not_there(repository, span, command):
    status, words = said(repository, span, command=command)
    assert status == 2 and "git log --oneline" in words


def test_no_results_yet(repository):
    status, words = said(repository, "HEAD", command="regressions")
    assert status == 2 and "no run yet" in words and "odecheck bench" in words


def test_asv_is_missing(repository, monkeypatch):
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "asv" else importlib.util.find_spec(name))
    status, words = said(repository, "HEAD")
    assert status == 2 and "asv is not installed" in words and "odecheck[bench]" in words
    monkeypatch.setitem(sys.modules, "asv.results", None)
    (repository / "asv_bench" / "results").mkdir()
    status, words = said(repository, "HEAD", command="regressions")
    assert status == 2 and "odecheck[bench]" in words


def test_a_configuration_that_asv_refuses(repository):
    (repository / "asv_bench" / "asv.conf.json").write_text('{"version": 99, "repo": ".."}')
    status, words = said(repository, "HEAD")
    assert status == 2 and "asv refuses" in words and "asv check" in words


def test_what_is_in_no_commit_is_named_and_a_benchmark_that_fails_in_setup_too(repository):
    (repository / "asv_bench" / "benchmarks" / "solve.py").write_text(SETUP_FAILS)
    git(repository, "commit", "-qam", "a benchmark that fails in setup")
    (repository / "toy" / "__init__.py").write_text("changed = True\n")
    status, words = said(repository, "HEAD")
    assert status == 0 and "some failed" in words  # the benchmark's failure is a result, not the run's
    assert "not run: changes to toy/__init__.py" in words
    assert "failed: solve.Solve.track_steps(20)" in words and "track_steps(10)" not in words
