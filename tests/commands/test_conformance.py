"""odecheck conformance: its three files, and going on with a run."""

from __future__ import annotations

import json

import pandas as pd
from typer.testing import CliRunner

from odecheck.cli import app
from odecheck.conformance.matrix import COLUMNS


def test_the_command_writes_three_files_and_goes_on_with_a_run(tmp_path):
    run, out = str(tmp_path / "run"), tmp_path / "out"
    typed = ["conformance", "scipy", "--method", "RK45", "--claim", "SOL-9", "--run", run, "--workers", "1"]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, typed)
    assert again.exit_code == 2
    assert "already holds a run" in again.output
    done = CliRunner().invoke(app, [*typed, "--resume", "--write", str(out)])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out / "conformance.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert set(table.verdict) == {"holds"} and table.ok.all()
    rows = json.loads((out / "conformance.json").read_text())["records"]
    assert [row["row"] for row in rows] == list(table.row)
    assert "# Conformance of solver libraries" in (out / "conformance.md").read_text()


def test_a_misspelt_library_is_bad_input(tmp_path):
    done = CliRunner().invoke(app, ["conformance", "torchdifeq", "--run", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "one of torchode" in done.output
