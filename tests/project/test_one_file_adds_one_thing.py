"""One file adds one thing: each kind of addition, put into a copy of the project, is noticed wherever it should be.

The files are those of `additions/`, at the places where they belong; the claim is the one of CONTRIBUTING.md. What is
declared wrongly or twice is refused in words elsewhere: claims and families in tests/claims/test_bite.py, mutants in
tests/selftest/test_named.py, fields in tests/fields/test_from_reference.py and tests/reference/test_fields.py,
libraries in tests/engines/test_found.py, tasks in tests/tasks/test_every.py, sections and tables in
tests/report/test_discovery.py, and what benchmarks refuse in tests/asv_bench/test_setup.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("asv_runner", reason="the extra `bench` is not installed")
ROOT = Path(__file__).parents[2]
ADDITIONS = Path(__file__).with_name("additions")
KINDS = ["mutant", "claim", "field", "solver", "library", "task", "benchmark", "section", "house"]
# the package, and what looks at all of it
COPIED = ("odecheck", "reference", "asv_bench/benchmarks", "docs/mathematics", "tests")


def contributed() -> str:
    """The claim of CONTRIBUTING.md, with the mutant of `additions/` in place of one that ships, and drawn problems."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (claim,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "FIRST-1" in block)
    for before, after in (
        ("odecheck.mutants.derivatives import SCALED_SOLUTION", "odecheck.mutants.careless import SHIFTED_SOLUTION"),
        ("mutants=[SCALED_SOLUTION]", "mutants=[SHIFTED_SOLUTION]"),
        ('title="A first family"', 'title="A first family", drawn=("logistic",)'),
    ):
        assert before in claim, f"CONTRIBUTING.md no longer has {before}"
        claim = claim.replace(before, after)
    return claim


def copied(folder: Path) -> Path:
    """The project as it is."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def added(folder: Path) -> Path:
    """The same with every addition."""
    for path in ADDITIONS.rglob("*"):
        place = folder / path.relative_to(ADDITIONS)
        if path.is_file() and "__pycache__" not in path.parts:
            assert not place.exists(), f"{place} ships: an addition is a file of its own"
            shutil.copy(path, place)
    (folder / "odecheck" / "claims" / "papers" / "first.py").write_text(contributed(), encoding="utf-8")
    return folder


def noticed(folder: Path, *parts: str) -> subprocess.CompletedProcess[str]:
    """Ask a copy, in a process of its own, what it noticed; see tests/project/noticed.py."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (folder, folder / "reference", folder / "asv_bench"))),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.project.noticed", *parts]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_whoever_should_notice_an_addition_does(tmp_path: Path) -> None:
    done = noticed(added(copied(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == KINDS


def test_nobody_notices_what_was_not_added(tmp_path: Path) -> None:
    done = noticed(copied(tmp_path), "nothing added")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == KINDS
