"""What the documentation shows runs, page by page in a folder of its own; it builds strictly and has every claim."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from odecheck.claims import ALL

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SOURCES = (DOCS.parent / "odecheck", DOCS.parent / "reference" / "odecheck_reference")
DOCTESTS = sorted(
    ".".join((source.name, *path.relative_to(source).with_suffix("").parts)).removesuffix(".__init__")
    for source in SOURCES
    for path in source.rglob("*.py")
    if ">>> " in path.read_text()
)


def shape(text):
    """What is printed without its numbers, the place of a call and the widths of columns."""
    text = re.sub(r"[\w.]+\.(py|md)(, a block)?:\d+", "FILE", text)
    text = re.sub(r"\d[\d.]*(e[-+]\d+)?( [kM]?B\b)?", "#", text)
    return re.sub(r"-+", "-", text).split()


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch):
    """python runs here, the blocks of a page in one namespace; title="file" saves it instead; bash runs in a shell.

    text is what the python before it has printed, with other numbers.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    names: dict[str, object] = {"__name__": page}
    printed, tools = StringIO(), Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for language, info, body in FENCE.findall((DOCS / page).read_text()):
        title, status = re.search(r'title="([^"]+)"', info), re.search(r"exit=(\d+)", info)
        if title:
            (tmp_path / title[1]).write_text(body)
        elif language == "python":
            printed = StringIO()
            with redirect_stdout(printed):
                exec(compile(body, Path(page).name, "exec"), names)
        elif language == "text":
            assert shape(body) == shape(printed.getvalue())
        else:
            assert language == "bash", f"{page}: a block of {language} is not run by anybody"
            done = subprocess.run(["bash", "-euc", body], env=environment, capture_output=True, text=True, timeout=600)
            assert done.returncode == int(status[1] if status else 0), done.stdout[-3000:] + done.stderr[-3000:]
    for name in set(sys.modules) - known:  # those of the page alone: a library is not imported twice
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("name", DOCTESTS)
def test_the_examples_in_docstrings_run(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_claim_has_its_derivation():
    pages = "".join(path.read_text() for path in (DOCS / "mathematics").glob("*.md"))
    headings = set(re.findall(r"^## (\S+)$", pages, re.MULTILINE))
    assert {claim.id for claim in ALL} <= headings


def test_every_report_can_be_made_again_by_name():
    reports = DOCS.parent / "reports"
    listed = re.findall(
        r"^\| \[(\S+\.(?:md|html))\].*\| `(\w+)` \|$", (reports / "README.md").read_text(), re.MULTILINE
    )
    assert {path.name for path in reports.glob("*.md")} - {"README.md", "report.md"} == {file for file, _ in listed} - {
        "report.html"
    }
    targets = set(re.findall(r"^(\w+):", (reports / "Makefile").read_text(), re.MULTILINE))
    assert {name for _, name in listed} <= targets
