"""Scripts in an interpreter that sees the libraries and what these need, and nothing else that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from odecheck_reference.losses import QuadraticCost
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from odecheck.claims import ALL, CONFORMANCE
from odecheck.engines.base import Engine
from odecheck.engines.found import libraries
from odecheck.problem_sets.conformance import problems
from odecheck.record import evaluate
from odecheck.reproduce import script
from odecheck.solvers import Adaptive, FixedStep, Solver
from odecheck.subject import SHIPPED, Subject

CLAIMS = {claim.id: claim for claim in (*ALL, *CONFORMANCE)}
DOPRI5, RK4 = Adaptive("dopri5", rtol=1e-7), FixedStep("rk4", step=0.05)
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


# claim, solver, engine
Case = tuple[str, Solver, Engine]
SOLVED = "    return odeint(field, y0, ts, **how)\n"
WORSE = """    found = odeint(field, y0, ts, **how)
    return tuple(1.02 * x for x in found) if isinstance(found, tuple) else 1.02 * found
"""


def reproduces(cases: Sequence[Case], folder: Path) -> None:
    """Each of these rows is refuted, and its script says so with the library alone."""
    texts: list[str] = []
    for name, solver, engine in cases:
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
    for (name, _, _), (code, said) in zip(cases, run_alone(texts, folder), strict=True):
        assert code == 1, (name, said)
        assert "observed" in said and "true" in said, name


def of_right(name: str, solver: Solver, engine: Engine, gap: float) -> str:
    """The script of a row that holds, as if it had been off by `gap`."""
    problem = problems(name)[0]
    if name in ("NODE-1", "NODE-2"):  # with an integral in the loss
        problem = problem.with_(running=QuadraticCost())
    return script(CLAIMS[name], Subject(SHIPPED, solver, engine), problem, observed=gap, expected=0.0, bar=0.0)


def acquits(cases: Sequence[tuple[str, Solver, Engine, float]], unmoved: Sequence[str], folder: Path) -> None:
    """The scripts of these rows, which hold, find nothing; with solutions that are off by 2 % each of them does.

    Args:
        cases: claim, solver, engine, and the gap of a defect of about one part in a thousand.
        unmoved: claims whose scripts a solution that is off leaves as they are, or that were seen to fail elsewhere.
        folder: where the scripts are written.
    """
    texts = [of_right(*case) for case in cases]
    assert all(len(text.splitlines()) < 42 for text in texts)
    moved = [case for case in cases if case[0] not in unmoved]
    worse = [of_right(*case).replace(SOLVED, WORSE) for case in moved]
    done = run_alone([*texts, *worse], folder)
    for (name, *_), (code, said) in zip(cases, done, strict=False):
        assert code == 0, (name, said)
    for (name, *_), (code, said) in zip(moved, done[len(cases) :], strict=True):
        assert code == 1, (name, said)
