"""Scripts of refuted rows: short, without odecheck, wrong where the library is and right where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
from odecheck_reference.losses import QuadraticCost
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from odecheck.claims import ALL, CONFORMANCE
from odecheck.cli import app
from odecheck.conformance.find import found
from odecheck.conformance.matrix import digest
from odecheck.conformance.plan import claims, posed
from odecheck.engines.found import libraries
from odecheck.engines.torchdiffeq import Adjoint, Backprop, Seminorm
from odecheck.errors import BadInput, NotApplicable, Unsupported
from odecheck.problem_sets.conformance import problems
from odecheck.record import evaluate
from odecheck.reproduce import script
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

CLAIMS = {claim.id: claim for claim in (*ALL, *CONFORMANCE)}
DOPRI5, RK4 = Adaptive("dopri5", rtol=1e-7), FixedStep("rk4", step=0.05)
ADAMS, EXPLICIT = FixedStep("implicit_adams", step=0.02), FixedStep("explicit_adams", step=0.02)
REPORTS = Path(__file__).parents[2] / "reports"
FOUND = "import os, sys; sys.path.append(os.environ['LIBRARIES'])\n"
# each script is a main program, of an interpreter that sees the folder LIBRARIES and nothing else that is installed
ALONE = """
import contextlib, io, json, os, runpy, sys, traceback
done = []
for path in sys.argv[1:]:
    code, said = 0, io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        except Exception:
            code, _ = 2, traceback.print_exc(file=said)
    done.append((code, said.getvalue()))
print(json.dumps(done))
"""


# torchdyn.core imports torchvision, of which a build for another torch does not import; solving needs nothing of it
TORCHDYN = """
import importlib, sys, types
package, core = importlib.import_module("torchdyn"), types.ModuleType("torchdyn.core")
core.__path__ = [folder + "/core" for folder in package.__path__]
sys.modules["torchdyn.core"] = core
"""


@cache
def clean() -> tempfile.TemporaryDirectory[str]:
    """A folder, gone with this process, with the libraries and what these need: an environment made for them alone."""
    seen: set[str] = set()
    todo = [Requirement(library.package) for library in libraries() if library.package != "odecheck"]
    todo += [Requirement("numpy"), Requirement("scipy")]
    kept = tempfile.TemporaryDirectory()
    folder = Path(kept.name)
    while todo:
        wanted = todo.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        with suppress(PackageNotFoundError):
            package = distribution(canonicalize_name(wanted.name))
            for one in map(Requirement, package.requires or ()):
                if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                    todo.append(one)
            for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
                link = folder / top
                if not link.exists():
                    link.symlink_to(Path(str(package.locate_file(top))).resolve())
    return kept


def run_alone(texts: list[str], folder: Path, before: str = "") -> list[tuple[int, str]]:
    """Exit status and output of each script, in a fresh, isolated interpreter; 2 for an exception.

    before: what that interpreter does first.
    """
    paths = [folder / f"bug{i}.py" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", FOUND + before + ALONE, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
        env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "LIBRARIES": clean().name},
    )
    assert done.returncode == 0, done.stderr
    return [(code, said) for code, said in json.loads(done.stdout.splitlines()[-1])]


WRONG = [
    ("SOL-10", ADAMS, Backprop()),
    ("SOL-12", EXPLICIT, Backprop()),
    ("SOL-5", Adaptive("bosh3", rtol=1e-6), Backprop()),
    ("SOL-18", Adaptive("dopri8", rtol=1e-9), Backprop()),
    ("DER-3", RK4, Backprop()),
    ("DER-7", DOPRI5, Backprop()),
    ("DER-17", DOPRI5, Seminorm()),
    ("HES-2", DOPRI5, Adjoint()),
    ("HES-3", RK4, Adjoint()),
    ("EVT-3", DOPRI5, Backprop()),
    ("USE-5", DOPRI5, Adjoint()),
    ("USE-6", DOPRI5, Adjoint()),
    ("DER-13", DOPRI5, Adjoint()),
]


@pytest.mark.filterwarnings("ignore:Functional iteration")
def test_defects_are_reproduced_by_the_library_alone(tmp_path):
    texts: list[str] = []
    for name, solver, engine in WRONG:
        subject, problem = Subject(SHIPPED, solver, engine), problems(name)[-1 if name == "SOL-18" else 0]
        record = evaluate(CLAIMS[name], subject, problem)
        assert record.verdict == "refuted", record
        texts.append(
            script(
                CLAIMS[name],
                subject,
                problem,
                observed=record.observed,
                expected=record.expected,
                bar=record.bar,
                worst=record.worst,
            )
        )
        assert len(texts[-1].splitlines()) < 40
        assert "odecheck" not in texts[-1]
    for (name, _, _), (code, said) in zip(WRONG, run_alone(texts, tmp_path), strict=True):
        assert code == 1, (name, said)
        assert "observed" in said and "true" in said, name


# the same questions, asked of what is right; the bar is that of a defect of one part in a thousand
RIGHT = [
    ("SOL-2", DOPRI5, Backprop(), 1e-3),
    ("SOL-6", DOPRI5, Backprop(), 1e-3),
    ("SOL-7", DOPRI5, Backprop(), 1e-3),
    ("SOL-8", DOPRI5, Backprop(), 1e-3),
    ("SOL-9", DOPRI5, Backprop(), 1e-3),
    ("SOL-10", RK4, Backprop(), 1.0),
    ("SOL-12", RK4, Backprop(), 1.0),
    ("SOL-5", DOPRI5, Backprop(), 0.5),
    ("SOL-13", DOPRI5, Backprop(), 1e-3),
    ("SOL-15", DOPRI5, Backprop(), 2e-3),
    ("SOL-16", DOPRI5, Backprop(), 1e-3),
    ("SOL-17", DOPRI5, Backprop(), 1e-3),
    ("SOL-18", DOPRI5, Backprop(), 1.0),
    ("NODE-1", DOPRI5, Backprop(), 1e-3),
    ("NODE-2", DOPRI5, Adjoint(), 1e-3),
    ("NODE-4", DOPRI5, Backprop(), 1e-3),
    ("NODE-5", DOPRI5, Backprop(), 1e-3),
    ("DER-1", DOPRI5, Backprop(), 1e-3),
    ("DER-2", DOPRI5, Adjoint(), 1e-3),
    ("DER-9", DOPRI5, Adjoint(), 1e-3),
    ("DER-10", DOPRI5, Backprop(), 1e-3),
    ("DER-11", DOPRI5, Backprop(), 1e-3),
    ("DER-12", DOPRI5, Backprop(), 1e-3),
    ("DER-13", DOPRI5, Backprop(), 1e-3),
    ("DER-14", DOPRI5, Backprop(), 1e-2),
    ("DER-15", DOPRI5, Backprop(), 1e-3),
    ("DER-16", DOPRI5, Backprop(), 1e-3),
    ("DER-17", DOPRI5, Adjoint(), 1.0),
    ("HES-1", DOPRI5, Backprop(), 2e-3),
    ("EVT-2", DOPRI5, Backprop(), 1e-3),
    ("EVT-4", DOPRI5, Backprop(), 1e-3),
    ("USE-1", DOPRI5, Backprop(), 1e-3),
    ("USE-5", DOPRI5, Backprop(), 1e-3),
]
# what compares a library with itself, or counts, or has its own function: a wrong solution leaves it as it is
UNMOVED = ("SOL-7", "SOL-8", "SOL-9", "SOL-10", "SOL-12", "SOL-5", "DER-13", "USE-5", "EVT-2", "EVT-4")
# whose template was seen to fail above, with the same lines
SEEN = ("NODE-1", "DER-1", "DER-2", "DER-9", "DER-12", "DER-17", "HES-1")
SOLVED = "    return odeint(field, y0, ts, **how)\n"
WORSE = """    found = odeint(field, y0, ts, **how)
    return tuple(1.02 * x for x in found) if isinstance(found, tuple) else 1.02 * found
"""


def of_right(name: str, solver, engine, gap: float) -> str:
    problem = problems(name)[0]
    if name in ("NODE-1", "NODE-2"):  # with an integral in the loss
        problem = problem.with_(running=QuadraticCost())
    return script(CLAIMS[name], Subject(SHIPPED, solver, engine), problem, observed=gap, expected=0.0, bar=0.0)


def test_what_is_right_is_not_reproduced_and_each_script_can_fail(tmp_path):
    texts = [of_right(*case) for case in RIGHT]
    assert all(len(text.splitlines()) < 42 for text in texts)
    moved = [case for case in RIGHT if case[0] not in (*UNMOVED, *SEEN)]
    worse = [of_right(*case).replace(SOLVED, WORSE) for case in moved]
    done = run_alone([*texts, *worse], tmp_path)
    for (name, *_), (code, said) in zip(RIGHT, done, strict=False):
        assert code == 0, (name, said)
    for (name, *_), (code, said) in zip(moved, done[len(RIGHT) :], strict=True):
        assert code == 1, (name, said)


def test_every_refuted_row_of_the_committed_matrix_has_a_script():
    table = pd.read_parquet(REPORTS / "conformance.parquet")
    refuted = table[table.verdict == "refuted"]
    assert len(refuted) > 100
    for row, text, library in zip(refuted.row, refuted.reproducer, refuted.library, strict=True):
        assert 10 < len(text.splitlines()) < 40, row
        compile(text, row, "exec")
        assert "odecheck" not in text or library == "odecheck", row
    for row, text in zip(refuted.row[::25], refuted.reproducer[::25], strict=True):  # and it is today's
        at = found(row, REPORTS)
        assert text == script(
            at.claim,
            at.subject,
            at.problem,
            observed=at.observed,
            expected=at.expected,
            bar=at.bar,
            worst=at.worst,
            library=at.library,
        )


@pytest.mark.parametrize(
    ("library", "kinds", "before"),
    [
        ("torchode", [("DER-13", "JointBacksolve"), ("HES-4", "JointBacksolve"), ("DER-7", "AutoDiff")], ""),
        ("torchdyn", [("SOL-3", "autograd"), ("USE-2", "adjoint"), ("DER-7", "autograd")], TORCHDYN),
        ("diffrax", [("DER-7", "RecursiveCheckpoint")], ""),
    ],
)
def test_rows_of_the_committed_matrix_are_reproduced_by_their_library_alone(library, kinds, before, tmp_path):
    pytest.importorskip(library)
    table = pd.read_parquet(REPORTS / "conformance.parquet")
    texts: list[str] = []
    for claim, engine in kinds:
        asked = (table.library == library) & (table.claim == claim) & (table.engine == engine)
        at = found(table[asked & (table.verdict == "refuted")].row.iloc[0], REPORTS)
        texts.append(
            script(
                at.claim,
                at.subject,
                at.problem,
                observed=at.observed,
                expected=at.expected,
                bar=at.bar,
                worst=at.worst,
                library=at.library,
            )
        )
    for kind, (code, said) in zip(kinds, run_alone(texts, tmp_path, before), strict=True):
        assert code == 1, (kind, said)


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_whatever_a_library_is_asked_has_a_script(library):
    """Also what nobody has seen to fail: the next release may."""
    ways = {(way.engine_name, type(way.solver)): way for way in library.asks(library.tested[-1], "")}
    for way in ways.values():
        subject = Subject(SHIPPED, way.solver, way.engine)
        for topic in way.topics:
            for claim in claims(topic):
                try:
                    text = script(claim, subject, posed(claim, True)[0], observed=1.0, expected=0.0, bar=0.0)
                except (AssertionError, NotApplicable, Unsupported):  # as of orders, for an adaptive method
                    continue
                except BadInput as refused:
                    pytest.fail(f"{claim.id}, {way.engine_name} {way.method}: {refused}")
                compile(text, claim.id, "exec")


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
