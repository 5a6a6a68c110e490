"""Costs at equal achieved error: the command and the page."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.cost import COLUMNS
from odecheck.report import cost_page as page
from tests.cost.laws import laws


def test_the_command_writes_its_table_and_resumes(tmp_path):
    run = [
        "cost",
        "--problem",
        "heavy",
        "--subject",
        "dopri5(rtol=0.001, landing), torchdiffeq backprop",
        "--rungs",
        "3",
        "--repeat",
        "1",
        "--run",
        str(tmp_path / "run"),
        "--quantity",
    ]
    done = CliRunner().invoke(app, [*run, "solution"])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "run" / "cost.parquet")
    assert list(table.columns) == list(COLUMNS) and len(table) == 3 and (tmp_path / "run" / "run.json").exists()
    assert CliRunner().invoke(app, [*run, "solution"]).exit_code == 2  # taken
    more = CliRunner().invoke(app, [*run, "gradient", "--resume"])
    assert more.exit_code == 0, more.output
    again = pd.read_parquet(tmp_path / "run" / "cost.parquet")
    assert len(again) == 6 and again[:3].equals(table)
    assert CliRunner().invoke(app, [*run, "speed"]).exit_code == 2


def test_the_page_compares_at_equal_error_and_says_what_is_not_there(tmp_path):
    rows = laws().to_dict("records")
    rows.append({**rows[0], "engine": "c", "state": "unsupported", "achieved_error": math.nan, "message": "c has none"})
    rows.append({**rows[0], "engine": "d", "achieved_error": 1e-2, "cpu_seconds": 1.0})
    for row in rows[:4]:
        row.update(cpu_seconds=row["nfe_forward"] / 1e4, saved_bytes=2048.0)
    for row in rows[4:8]:
        row.update(cpu_seconds=row["nfe_forward"] / 1e4)
    text = page.markdown(pd.DataFrame(rows), 3e-6, {"versions": {"python": "3", "torch": None}})
    cells = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")] for line in text.splitlines() if "|" in line
    }
    nfe = [f"{price * rtol**-0.2:.0f}" for price, rtol in ((100, 3e-6), (300, 3e-7))]
    assert cells["a"][3:5] == ["3.0e-06", nfe[0]] and cells["b"][3:5] == ["3.0e-07", nfe[1]]
    assert cells["a"][8:12] == ["2", "–", f"{float(100 * 3e-6**-0.2) / 10:.3g}", "1.00"]
    assert cells["b"][8] == "–" and float(cells["b"][11]) == pytest.approx(3 * 10**0.2, rel=1e-2)
    assert "- c: c has none" in text and "- d: its errors are between 1.0e-02 and 1.0e-02" in text and "d" not in cells


def test_the_command_writes_the_page(tmp_path):
    done = CliRunner().invoke(
        app,
        [
            "cost",
            "--problem",
            "heavy",
            "--subject",
            "dopri8",
            "--quantity",
            "solution",
            "--rungs",
            "2",
            "--repeat",
            "0",
            "--run",
            str(tmp_path / "run"),
            "--write",
            str(tmp_path / "out"),
            "--error",
            "1e-4",
        ],
    )
    assert done.exit_code == 0, done.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"cost.md", "cost.parquet", "cost.svg", "cost.png"}
    assert "torchdiffeq backprop" in (tmp_path / "out" / "cost.md").read_text()
