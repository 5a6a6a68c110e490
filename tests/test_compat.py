"""The names that torch and torchdiffeq keep to themselves are used in one module, which says what it was tried with."""

import ast
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from odecheck import compat

ROOT = Path(__file__).parents[1]
LIBRARIES = ("torch", "torchdiffeq")
UNDOCUMENTED = ("torch.multiprocessing.reductions",)  # private without an underscore
ITS_OWN = ("self", "cls", "ctx", "os", "sys")
OF_OTHERS = ("_replace", "_asdict", "_build_params", "_results", "_stats")  # namedtuple's, and asv's


def _private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _is_private(path: str) -> bool:
    parts = path.split(".")
    return parts[0] in LIBRARIES and (any(map(_private, parts)) or path.startswith(UNDOCUMENTED))


def _dotted(node: ast.AST) -> str:
    """ "a.b.c" of such an expression, "" of any other."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _defined(trees: list[ast.Module]) -> set[str]:
    """Private names of the package's own: of functions, classes, arguments, and of what is assigned to."""
    found = set[str]()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def private_uses(source: str, own: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """The private names of the two libraries that a source uses, and private attributes that are nobody's we know."""
    tree, names, found = ast.parse(source), dict[str, str](), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                found += [alias.name] if _is_private(alias.name) else []
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                path = names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found += [path] if _is_private(path) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, _, rest = _dotted(node).partition(".")
            path = f"{names.get(head, head)}.{rest}"
            if _is_private(path):
                found.append(path)
            elif _private(node.attr) and node.attr not in {*own, *OF_OTHERS}:
                found += [node.attr] if _dotted(node.value) not in ITS_OWN else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_private(node.value):
            found.append(node.value)  # import_module("torch._C"), mock.patch("torch._C.…")
        elif isinstance(node, ast.Call) and _dotted(node.func) in ("getattr", "hasattr", "setattr") and node.args[1:]:
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(f"{names.get(_dotted(node.args[0]), '')}.{name.value}"):
                found.append(str(name.value))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch._C._functorch",
        "import torch._dynamo as dynamo",
        "import torch._dynamo",
        "from torch._C import _functorch",
        "from torch.autograd import forward_ad as f\nf._current_level",
        "from torch import nn\nnn.modules.module._global_forward_hooks",
        "from torchdiffeq import _impl",
        "from torchdiffeq._impl.odeint import SOLVERS",
        "from torch.multiprocessing.reductions import StorageWeakRef",
        "import torch\ngetattr(torch, '_C')",
        "from importlib import import_module\nimport_module('torch._dynamo')",
        "def f(x):\n    return x._version",
        "def f(self):\n    return self.x.grad_fn._saved_self",
    ],
)
def test_a_private_name_is_found(source):
    assert private_uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.nn.Module.__call__",
        "def f(self):\n    return self._mine",
        "import os\nos._exit(1)",
        "from torch.utils.checkpoint import checkpoint",
        "def f(pair):\n    return pair._replace(a=1)",
    ],
)
def test_other_names_are_not(source):
    assert not private_uses(source)


def test_private_names_are_used_in_compat_alone():
    sources = {path: path.read_text() for path in sorted((ROOT / "odecheck").rglob("*.py"))}
    own = _defined([ast.parse(source) for source in sources.values()])
    used = {path: private_uses(source, own) for path, source in sources.items() if path.name != "compat.py"}
    assert not {str(path.relative_to(ROOT)): names for path, names in used.items() if names}
    assert private_uses((ROOT / "odecheck" / "compat.py").read_text(), own)


def _rows() -> list[list[str]]:
    lines = (line for line in (compat.__doc__ or "").splitlines() if line.startswith("| `"))
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_table_has_every_private_name_and_no_other():
    used = set(private_uses((ROOT / "odecheck" / "compat.py").read_text()))
    used = {name for name in used if not any(other.startswith(f"{name}.") for other in used)}
    assert used == {row[0].split("`")[0] for row in _rows()}
    assert all(row[1] and hasattr(compat, row[2].strip("` ")) for row in _rows())


def test_the_ceilings_follow_what_was_tried():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for package, tried in compat.TRIED.items():
        newest = max(tuple(map(int, one.split("."))) for one in tried)
        (line,) = [one for one in stated if re.split(r"[<>=]", one)[0] == package]
        assert line.endswith(f",<{newest[0]}.{newest[1] + 1}"), line
        assert f"{package} {tried[-1]}" in (compat.__doc__ or "")
        assert version(package).split("+")[0] in tried, "the tests run with a version that is not said to be tried"
