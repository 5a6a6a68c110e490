"""The public face: what `odecheck` offers is documented, shown by an example that runs, and nothing else leaks."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import odecheck

ROOT = Path(__file__).parents[2]
REFERENCE = "".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md")))
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
# the blocks that tests of the documentation and of the README run
EXAMPLES = "".join(
    b for page in PAGES for b in re.findall(r"```python[^\n]*\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
)
STUB = ast.parse((ROOT / "odecheck" / "__init__.pyi").read_text("utf-8"))
HOMES = {
    alias.name: f"odecheck.{node.module}"
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def rendered(name: str, home: str) -> bool:
    """Whether a page of the reference renders it: by its own name, or with its module."""
    made = getattr(odecheck, name)
    module = getattr(made, "__module__", home) if inspect.isclass(made) or inspect.isfunction(made) else home
    if re.search(rf"^::: {re.escape(module)}\.{name}$", REFERENCE, re.MULTILINE):
        return True
    whole = re.search(rf"^::: {re.escape(module)}\n(    options: .*)?", REFERENCE, re.MULTILINE)
    members = re.search(r"members: \[(.*?)\]", whole[1] or "") if whole else None
    return bool(whole) and (members is None or name in members[1].split(", "))


@pytest.mark.parametrize("name", sorted(odecheck.__all__))
def test_a_public_name_is_documented_and_shown(name: str) -> None:
    assert rendered(name, HOMES[name]), f"write '::: {HOMES[name]}.{name}' into a page of docs/reference"
    assert re.search(rf"\b{name}\b", EXAMPLES), f"no example of README.md or docs shows odecheck.{name}"


def test_importing_odecheck_brings_nothing_else() -> None:
    listing = (
        "import sys, odecheck; print(*(n for n in vars(odecheck) if not n.startswith('_')), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    assert set(dir(odecheck)) == set(odecheck.__all__) == set(HOMES)


def test_types_are_for_others_too() -> None:
    assert (ROOT / "odecheck" / "py.typed").exists()
    assert (ROOT / "reference" / "odecheck_reference" / "py.typed").exists()


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="No odecheck attribute nothing"):
        odecheck.nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
