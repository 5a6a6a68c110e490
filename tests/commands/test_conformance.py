"""odecheck conformance: its three files, and going on with a run."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.commands.conformance import SHOWN, _report
from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import COLUMNS, row_of
from odecheck.judge import Verdict
from tests.conformance.rows import SAMPLE, WAY, record_of_a_solution


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


def test_what_is_inconclusive_is_status_3_with_what_would_decide_it(capsys, tmp_path):
    record = replace(record_of_a_solution(), verdict=Verdict.INCONCLUSIVE, ok=False, decides="a finer step")
    rows = [row_of(record, Version(SAMPLE, "2"), WAY)] * (SHOWN + 2)
    with pytest.raises(typer.Exit) as left:
        _report(rows, tmp_path)
    assert left.value.exit_code == 3
    said = capsys.readouterr().out
    assert said.count("SOL-2 inconclusive on small tanh network; to decide it: a finer step") == SHOWN
    assert "and 2 more that are inconclusive" in said


def test_a_misspelt_library_is_bad_input(tmp_path):
    done = CliRunner().invoke(app, ["conformance", "torchdifeq", "--run", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "one of torchode" in done.output
