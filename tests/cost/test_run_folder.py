"""The folder of `odecheck cost`: what it was measured with, what failed, damaged tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from odecheck.cost import precision
from odecheck.cost import run_folder as kept
from tests.commands.typed import refused, run
from tests.cost.asked import COST


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


def test_rows_that_a_cluster_gives_stand_in_the_order_that_was_asked(tmp_path):
    """Those of an earlier command come first, and those of one problem and quantity stay as they were measured."""
    came = [(2, "b", "hvp"), (1, "b", "gradient"), (0, "other", "hvp"), (3, "b", "hvp")]
    rows = [
        dict.fromkeys(precision.COLUMNS, 0.0) | {"problem": problem, "quantity": quantity, "rtol": float(n)}
        for n, problem, quantity in came
    ]
    ordered = kept.in_order(tmp_path, rows, [("b", "gradient"), ("b", "hvp")])
    assert [row["rtol"] for row in ordered] == [0, 1, 2, 3]
    assert [*pd.read_parquet(tmp_path / kept.TABLE)["rtol"]] == [0, 1, 2, 3]
    (tmp_path / kept.TABLE).unlink()
    assert kept.in_order(tmp_path, ordered, [("b", "gradient"), ("b", "hvp")]) == ordered
    assert not (tmp_path / kept.TABLE).exists()  # nothing to be written anew
