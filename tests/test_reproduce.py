"""Scripts of refuted rows: short, without odecheck, wrong where the library is and right where it is not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from odecheck.claims import ALL, CONFORMANCE
from odecheck.claims.posed import problems
from odecheck.cli import app
from odecheck.conformance.matrix import digest
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.record import evaluate
from odecheck.reproduce import script
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = {claim.id: claim for claim in (*ALL, *CONFORMANCE)}
DOPRI5, RK4 = Adaptive("dopri5", rtol=1e-7), FixedStep("rk4", step=0.05)
ADAMS, EXPLICIT = FixedStep("implicit_adams", step=0.02), FixedStep("explicit_adams", step=0.02)
# nothing of this project can be imported, not even what a .pth file would find
ALONE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("odecheck", "odecheck_reference"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run_alone(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The script in a fresh, isolated interpreter."""
    path = folder / "bug.py"
    path.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(path)], capture_output=True, text=True, timeout=300, check=False,
        cwd=folder, env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


WRONG = [
    ("SOL-10", ADAMS, Backprop()), ("SOL-12", EXPLICIT, Backprop()),
    ("SOL-5", Adaptive("bosh3", rtol=1e-6), Backprop()),
    ("DER-3", RK4, Backprop()), ("DER-7", DOPRI5, Backprop()), ("HES-2", DOPRI5, Adjoint()),
    ("HES-3", RK4, Adjoint()), ("EVT-3", DOPRI5, Backprop()), ("USE-5", DOPRI5, Adjoint()),
    ("DER-13", DOPRI5, Adjoint()),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Functional iteration")
@pytest.mark.parametrize(("name", "solver", "engine"), WRONG, ids=lambda x: getattr(x, "name", x))
def test_a_defect_is_reproduced_by_the_library_alone(name, solver, engine, tmp_path):
    subject, problem = Subject(SHIPPED, solver, engine), problems(name)[0]
    record = evaluate(CLAIMS[name], subject, problem)
    text = script(CLAIMS[name], subject, problem, observed=record.observed, expected=record.expected, bar=record.bar)
    assert len(text.splitlines()) < 40
    assert "odecheck" not in text
    done = run_alone(text, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "observed" in done.stdout and "true" in done.stdout
    assert "Traceback" not in done.stderr


# the same questions, asked of what is right; the bar is that of a defect of one part in a thousand
RIGHT = [
    ("SOL-10", RK4, Backprop(), 1.0), ("SOL-12", RK4, Backprop(), 1.0), ("SOL-5", DOPRI5, Backprop(), 0.5),
    ("DER-2", DOPRI5, Adjoint(), 1e-3), ("HES-1", DOPRI5, Backprop(), 2e-3), ("EVT-2", DOPRI5, Backprop(), 1e-3),
    ("USE-5", DOPRI5, Backprop(), 1e-3), ("DER-13", DOPRI5, Backprop(), 1e-3), ("DER-9", DOPRI5, Adjoint(), 1e-3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "solver", "engine", "gap"), RIGHT, ids=lambda x: getattr(x, "name", x))
def test_what_is_right_is_not_reproduced(name, solver, engine, gap, tmp_path):
    subject = Subject(SHIPPED, solver, engine)
    text = script(CLAIMS[name], subject, problems(name)[0], observed=gap, expected=0.0, bar=0.0)
    done = run_alone(text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_row_of_a_table_of_conformance_is_found(tmp_path):
    subject, problem = Subject(SHIPPED, DOPRI5, Adjoint()), problems("HES-2")[0]
    record = evaluate(CLAIMS["HES-2"], subject, problem)
    row = {"library": "torchdiffeq", "version": "0.2.5", "engine": "adjoint", "method": "dopri5", "claim": "HES-2",
           "problem": problem.name, "verdict": "refuted", "observed": record.observed, "expected": record.expected,
           "bar": record.bar, "row": digest(*record.key)}  # fmt: skip
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


def test_a_row_of_a_run_is_found(tmp_path):
    from odecheck import shipped
    from odecheck.run import check
    from odecheck.summary import identifier

    subject = shipped.subjects("quick")[2]  # backpropagation through fixed steps
    linear = shipped.problems("quick")[0]
    (record,) = check(replace(subject), [linear], "NODE-3", folder=tmp_path / "run")
    done = CliRunner().invoke(app, ["reproduce", identifier(record), "--run", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert run_alone(done.stdout, tmp_path).returncode == 1
