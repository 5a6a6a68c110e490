"""odecheck cost: what a folder was measured with, what failed, libraries that are not here, damaged tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from odecheck.cost import precision
from odecheck.cost import presets as shipped
from odecheck.cost import run_folder as kept
from odecheck.errors import BadInput
from odecheck.report import cost_page as page
from tests.commands.test_refused import refused, run

ONE = ("--problem", "heavy", "--subject", "dopri5(rtol=0.001, landing), torchdiffeq backprop")
COST = ("cost", *ONE, "--quantity", "solution", "--rungs", "1", "--repeat", "0", "--run", "c1")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_that_was_measured_otherwise_is_not_gone_on_with(monkeypatch):
    status, output = run(*COST)
    assert status == 0 and "1 row in c1" in output
    facts = json.loads(Path("c1/run.json").read_text())
    assert facts["cost"] == {"rungs": 1, "repeat": 0, "device": "cpu", "dtype": "float64", "error": 1e-6}
    output = refused("was measured with", *COST, "--rungs", "3", "--repeat", "1", "--dtype", "float32", "--resume")
    for said in ("rungs 1 (now 3)", "repeat 0 (now 1)", "dtype float64 (now float32)"):
        assert said in output
    assert "device" not in output.split("usual cause")[0]
    assert "rungs" not in refused("other subjects on 'heavy ball'", *COST, "--subject", "odeint", "--resume")
    facts["versions"]["torch"] = "1.0"
    Path("c1/run.json").write_text(json.dumps(facts))
    refused("torch 1.0 (now", *COST, "--resume")


def test_another_error_and_another_problem_are_no_other_run():
    assert run(*COST)[0] == 0
    assert run(*COST, "--error", "1e-4", "--resume")[0] == 0
    assert run(*COST, "--problem", "tanh", "--resume")[0] == 0
    assert run(*COST, "--resume")[0] == 0
    assert dict(json.loads(Path("c1/run.json").read_text())["cases"]["source"]).keys() == {"heavy ball", "tanh network"}
    assert len(pd.read_parquet("c1/cost.parquet")) == 2


def test_the_last_run_of_costs_is_gone_on_with():
    typed = [*COST[:-2]]
    assert run(*typed)[0] == 0
    status, _ = run(*typed, "--resume")
    assert status == 0 and len(list(Path("runs").iterdir())) == 1


def test_what_failed_is_measured_again_and_nothing_else(monkeypatch):
    both = (*COST, "--subject", "dopri5(rtol=0.001, landing), torchdiffeq", "--rungs", "2")
    assert run(*both)[0] == 0
    table = pd.read_parquet("c1/cost.parquet")
    engines = list(dict.fromkeys(table.engine))
    assert len(engines) == 3
    broken = table.copy()
    broken.loc[3, ["state", "message"]] = "failed", "ModuleNotFoundError: No module named 'x'"
    kept.write(Path("c1"), broken.to_dict("records"))
    asked = []

    def seen(subjects, *args, **options):
        asked.extend(one.engine.name for one in subjects)
        return precision.work_precision(subjects, *args, **options)

    monkeypatch.setattr("odecheck.cost.work_precision", seen)
    assert run(*both, "--resume")[0] == 0
    assert asked == [engines[1]]
    assert pd.read_parquet("c1/cost.parquet").equals(table)


def test_a_damaged_table_is_said():
    assert run(*COST)[0] == 0
    for junk in (b"PAR1", b""):
        Path("c1/cost.parquet").write_bytes(junk)
        assert "rm c1/cost.parquet" in refused("cannot be read", *COST, "--resume")
    pd.DataFrame({"a": [1]}).to_parquet("c1/cost.parquet")
    refused("cannot be read", *COST, "--resume")


def test_a_folder_of_another_run_is_taken():
    Path("c1").mkdir()
    Path("c1/run.json").write_text(json.dumps({"schema": 1, "cases": {"claims": [], "pairs": []}}))
    refused("already holds a run", *COST)
    refused("is of odecheck verify, not of cost", *COST, "--resume")
    assert [p.name for p in Path("c1").iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rungs", "0"), ("--rungs", "-1"), ("--repeat", "-1"), ("--error", "0"), ("--error", "-1"), ("--error", "nan")],
)
def test_numbers_that_mean_nothing_are_refused(option, value):
    status, output = run(*COST, option, value)
    assert status == 2 and not Path("c1").exists() and option in output


def test_a_library_that_is_not_here_is_left_out_and_said_once(monkeypatch):
    monkeypatch.setattr(shipped, "missing", lambda: ("torchode", "diffrax"))
    asked = []

    def measured(subjects, problem, quantities, **_options):
        asked.extend(one.engine.name for one in subjects)
        return [precision.row(one, problem, quantities[0], None, 1.0) for one in subjects]

    monkeypatch.setattr("odecheck.cost.work_precision", measured)
    status, output = run("cost", "--quantity", "solution", "--rungs", "1", "--repeat", "0")
    assert status == 0 and output.count('torchode is not installed: pip install "odecheck[peers]"') == 1
    assert asked and not [name for name in asked if name.startswith(("torchode", "diffrax"))]
    assert "odecheck[peers]" in refused("torchode is not installed", "cost", "--subject", "torchode")


def test_where_every_row_failed_the_status_is_1(monkeypatch):
    def failed(subjects, problem, quantities, **_options):
        return [precision.row(one, problem, quantities[0], None, 1.0, state="failed", message="no") for one in subjects]

    monkeypatch.setattr("odecheck.cost.work_precision", failed)
    assert run(*COST)[0] == 1


def test_figures_are_asked_for_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "odecheck[figures]" in refused("matplotlib is not installed", *COST, "--write", "out")
    assert not list(Path().iterdir())
    with pytest.raises(BadInput, match="matplotlib"):
        page.write([], Path("out"), 1e-6, {})
    assert not Path("out").exists()


def test_only_what_was_asked_for_is_named():
    refused("nothing has a problem with 'xyz' in its name", "cost", "--problem", "xyz")
