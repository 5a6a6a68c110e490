"""What people install: the wheel works from an empty folder, and without the extras; what it states is true."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# as it is imported, where that is another word than the package's name
IMPORTED = {"pandas": ("pandas", "pyarrow"), "lazy-loader": ("lazy_loader",)}
# modules that are imported where their extra, or pytest, is there already
OF_EXTRAS = {"odecheck/pytest_plugin.py": "pytest", "odecheck/problem_sets/strategies.py": "hypothesis"}
# bytes of the wheel, which is source text and nothing else: figures and tables of results are not in it
LARGEST = 1_300_000
# what hides all extras, put where Python looks first
HIDDEN = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def other(name, path=None, target=None):
    return None if name.partition(".")[0] in {names} else found(name, path, target)

PathFinder.find_spec = staticmethod(other)
"""


def names_of(requirements: list[str]) -> set[str]:
    """The packages of requirements, as they are imported."""
    named = {re.match(r"[\w-]+", one)[0] for one in requirements}
    return {name for one in named for name in IMPORTED.get(one, (one,))}


def imports(tree: ast.Module) -> Iterator[str]:
    """The packages that importing a module imports, whatever is called then."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_no_module_needs_an_extra_to_be_imported():
    base = names_of(PROJECT["dependencies"]) | {"odecheck", "odecheck_reference"} | set(sys.stdlib_module_names)
    found = {
        (path.relative_to(ROOT).as_posix(), package)
        for folder in ("odecheck", "reference/odecheck_reference")
        for path in (ROOT / folder).rglob("*.py")
        for package in imports(ast.parse(path.read_text()))
        if package not in base
    }
    assert found == set(OF_EXTRAS.items())


def test_a_module_that_imports_an_extra_is_seen():
    assert list(imports(ast.parse("import pandas.core as pd\nfrom . import x\ndef f():\n    import plotly"))) == [
        "pandas"
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """The wheel as pip leaves it, in a folder where none of the extras can be imported."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    extras = PROJECT["optional-dependencies"]
    hidden = names_of([one for name in ("tables", "figures", "report", "peers") for one in extras[name]])
    hidden |= {"hypothesis", "torchdyn", "asv"}
    hidden -= {"odecheck"}
    (folder / "sitecustomize.py").write_text(HIDDEN.format(names=sorted(hidden)))
    return folder


def typed(site: Path, where: Path, *words: str) -> tuple[int, str]:
    """The exit status and all that is printed by odecheck with these words, in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    command = [sys.executable, "-c", "from odecheck.commands.cli import main; main()", *words]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_the_wheel_states_who_made_it_and_what_it_is(wheel):
    assert wheel.stat().st_size <= LARGEST
    inside = zipfile.ZipFile(wheel)
    names = inside.namelist()
    assert {"odecheck/py.typed", "odecheck/__init__.pyi", "odecheck_reference/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "docs", "reports", "asv_bench"))]
    text = inside.read(next(name for name in names if name.endswith("METADATA"))).decode()
    about = Parser().parsestr(text)
    for field in ("Author", "License-Expression", "Requires-Python", "Summary", "Keywords", "Description-Content-Type"):
        assert about[field], field
    assert {line.partition(",")[0] for line in about.get_all("Project-URL", [])} >= {
        "Homepage",
        "Documentation",
        "Issues",
    }
    classifiers = set(about.get_all("Classifier", []))
    assert {"Framework :: Pytest", "Typing :: Typed"} <= classifiers
    # links and pictures that only a checkout has would be dead on the page of the package
    links = re.findall(r"\]\(([^)]+)\)", str(about.get_payload()))
    assert links and [link for link in links if not link.startswith((PROJECT["urls"]["Homepage"], "#"))] == []


def test_the_wheel_verifies_from_an_empty_folder_without_extras(site, tmp_path):
    status, said = typed(site, tmp_path, "doctor")
    assert status == 0 and f"odecheck      {PROJECT['version']}" in said, said
    asked = ("verify", "--claim", "SOL-2", "--problem", "tanh", "--workers", "1", "--run", "r", "-q")
    status, said = typed(site, tmp_path, *asked)
    assert status == 0 and said.startswith("AS EXPECTED"), said
    assert not (tmp_path / "r" / "records.parquet").exists()


@pytest.mark.parametrize(
    ("words", "extra"), [(("cost",), "tables"), (("train", "spheres"), "tables"), (("report", "."), "report")]
)
def test_a_command_without_its_extra_says_what_to_type(site, tmp_path, words, extra):
    status, said = typed(site, tmp_path, *words)
    assert status == 2 and f'pip install "odecheck[{extra}]"' in said and "Traceback" not in said, said
    assert not list(tmp_path.iterdir())
