"""Costs at equal achieved error: tables, the command and the page."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck import Adaptive, Subject
from odecheck.cli import app
from odecheck.cost import COLUMNS, at_equal_error, ladder, work_precision
from odecheck.engines.torchdiffeq import Backprop
from odecheck.report import cost_page as page
from odecheck.subject import SHIPPED
from tests.cost.test_count import PROBLEM, Elsewhere


def _laws():
    """Two libraries with error rtol and 10 rtol, cost 100 rtol^(-1/5) and 300 rtol^(-1/5)."""
    rows = []
    for library, factor, price in (("a", 1.0, 100.0), ("b", 10.0, 300.0)):
        for rtol in (1e-4, 1e-5, 1e-6, 1e-7):
            row = dict.fromkeys(COLUMNS, math.nan)
            row.update(
                model="m",
                problem="p",
                library=library,
                engine=library,
                method="dopri5",
                rtol=rtol,
                device="cpu",
                quantity="solution",
                dtype="float64",
                state="measured",
                achieved_error=factor * rtol,
                nfe_forward=price * rtol**-0.2,
                rejected_forward=0.0,
            )
            rows.append(row)
    return pd.DataFrame(rows)


def test_equal_error_is_not_equal_tolerance():
    equal = at_equal_error(_laws(), 3e-6).set_index("library")
    assert equal.nfe_forward["a"] == pytest.approx(100 * 3e-6**-0.2, rel=1e-12)
    assert equal.nfe_forward["b"] == pytest.approx(300 * 3e-7**-0.2, rel=1e-12)
    assert equal.rejected_forward["a"] == 0 and math.isnan(equal.cpu_seconds["a"])
    outside = at_equal_error(_laws(), 1e-7 / 2).set_index("library")
    assert outside.nfe_forward.isna().all()  # nothing is extrapolated


def test_work_precision_errors_fall_and_failures_are_rows():
    subjects = [Subject(SHIPPED, Adaptive("dopri5", rtol=1e-4), engine) for engine in (Backprop(), Elsewhere())]
    frame = pd.DataFrame(work_precision(subjects, PROBLEM, ("gradient",), rungs=3, repeat=1))
    good = frame[frame.engine == "torchdiffeq backprop"]
    assert (np.diff(good.achieved_error) < 0).all() and (np.diff(good.nfe_forward) > 0).all()
    assert (good.cpu_seconds > 0).all() and set(frame[frame.engine == "elsewhere"].state) == {"unsupported"}
    assert [s.rtol for s in ladder(Adaptive("dopri5", rtol=1e-4), 2)] == pytest.approx([1e-4, 1e-5])


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
    rows = _laws().to_dict("records")
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
