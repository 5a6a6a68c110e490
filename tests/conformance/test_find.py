"""A refuted row is found by its id, in a table of conformance and in a run."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.conformance.matrix import digest
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.problem_sets.conformance import problems
from odecheck.record import evaluate
from odecheck.records.export import write_json
from odecheck.subject import SHIPPED, Subject
from tests.reproduce.alone import CLAIMS, DOPRI5, run_alone


def test_a_row_of_a_table_of_conformance_is_found(tmp_path):
    subject, problem = Subject(SHIPPED, DOPRI5, Adjoint()), problems("HES-2")[0]
    record = evaluate(CLAIMS["HES-2"], subject, problem)
    row = {
        "library": "torchdiffeq",
        "version": "0.2.5",
        "engine": "adjoint",
        "method": "dopri5",
        "claim": "HES-2",
        "problem": problem.name,
        "verdict": "refuted",
        "observed": record.observed,
        "expected": record.expected,
        "bar": record.bar,
        "row": digest(*record.key),
    }
    held = {**row, "verdict": "holds", "row": "0123abcd"}
    pd.DataFrame([row, held]).to_parquet(tmp_path / "conformance.parquet")
    bug = tmp_path / "bug.py"
    asked = ["reproduce", row["row"], "--run", str(tmp_path)]
    assert CliRunner().invoke(app, [*asked, "--write", str(bug)]).exit_code == 0
    assert "torch.autograd.functional.hessian" in bug.read_text()
    assert CliRunner().invoke(app, asked).stdout == bug.read_text()
    assert "torchdiffeq 0.2.5" in bug.read_text()
    for wrong, said in (("0123abcd", "nothing to reproduce"), ("ffffff", "no row")):
        refused = CliRunner().invoke(app, ["reproduce", wrong, "--run", str(tmp_path)])
        assert refused.exit_code == 2
        assert said in refused.output
    # without the extra of tables there is JSON alone, which has no NaN
    write_json(str(tmp_path / "json" / "conformance.json"), [row, {**held, "bar": math.nan}], {})
    found = CliRunner().invoke(app, [*asked[:-1], str(tmp_path / "json")])
    assert found.exit_code == 0 and "torch.autograd.functional.hessian" in found.stdout, found.output
    (tmp_path / "json" / "conformance.json").write_text('{"records": [3]}')
    damaged = CliRunner().invoke(app, [*asked[:-1], str(tmp_path / "json")])
    assert damaged.exit_code == 2 and "conformance.json cannot be read" in damaged.output


def test_a_row_of_a_run_is_found(tmp_path):
    from odecheck.records.summary import identifier
    from odecheck.runner import presets as shipped
    from odecheck.runner.run import check

    subject = shipped.subjects("quick")[2]  # backpropagation through fixed steps
    linear = shipped.problems("quick")[0]
    (record,) = check(replace(subject), [linear], "NODE-3", folder=tmp_path / "run")
    done = CliRunner().invoke(app, ["reproduce", identifier(record), "--run", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert [code for code, _ in run_alone([done.stdout], tmp_path)] == [1]
