"""The reference knows nobody: importing all of it imports neither torch nor what it is compared with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import odecheck_reference

IMPORT_ALL = """
import importlib, pkgutil, sys
import odecheck_reference as package
names = [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(len(names), sorted({name.split(".")[0] for name in sys.modules} & {%s}))
"""
SOURCE = Path(odecheck_reference.__file__).parent


def imported(forbidden: str, extra: str = "") -> tuple[int, str]:
    """How many modules the reference has, and which of the forbidden packages a fresh Python has loaded with them."""
    command = [sys.executable, "-c", extra + IMPORT_ALL % forbidden]
    path = {"PYTHONPATH": str(SOURCE.parent), "PATH": ""}
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    count, found = done.stdout.split(maxsplit=1)
    return int(count), found.strip()


def test_the_reference_imports_neither_torch_nor_what_is_tested():
    count, found = imported('"torch", "torchdiffeq", "odecheck", "jax"')
    assert count >= len(list(SOURCE.rglob("*.py"))) - 2
    assert found == "[]"


def test_what_is_imported_is_seen():
    assert imported('"numpy", "torch"')[1] == "['numpy']"
    assert (
        imported('"torch"', extra="import types, sys; sys.modules['torch'] = types.ModuleType('torch')\n")[1]
        == "['torch']"
    )
