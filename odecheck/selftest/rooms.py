"""Which rooms of odecheck the self-test mutates: every one that a case of the battery executes, but those that judge.

A room is a folder or a module of the root. A new one is mutated as soon as the battery executes it: nobody has to
list it. Those that are left out are listed with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
BATTERY, CLAIMS = "odecheck.selftest.battery", "odecheck.claims"
NOT_IMPORTED = "the battery does not import it"
NOT_EXECUTED = "no case of the battery executes it"
# a mistake in them is one of the judge, and no verdict of that judge says anything of it
JUDGES: Mapping[str, str] = {
    "claim": "it judges: what a claim is",
    "claims": "it judges: what is compared with what",
    "errors": "it judges: what a claim does not speak of",
    "instruments": "it judges: evaluations and seconds of a solve, which no case compares",
    "judge": "it judges: the verdict",
    "mutants": "it judges: the mistakes that claims have to refute",
    "problem_sets": "it judges: what is asked, made before any case",
    "record": "it judges: the verdict as a row",
    "refinement": "it judges: the bar of what is observed",
    "selftest": "it judges: the battery itself",
    "subject": "it judges: observes answers and hands them to the claims",
}


def room_of(module: str) -> str:
    """The room of a module: "ode" of odecheck.ode.flow, "solvers" of odecheck.solvers."""
    return module.split(".")[1] if "." in module else ""


def every() -> list[str]:
    """All rooms, by name."""
    folders = [path.parent.name for path in ROOT.glob("*/__init__.py")]
    return sorted([*folders, *(path.stem for path in ROOT.glob("*.py") if path.stem != "__init__")])


def modules(room: str) -> list[str]:
    """The modules of a room, but the `__init__` of a folder."""
    if (ROOT / f"{room}.py").exists():
        return [f"odecheck.{room}"]
    names = [path.relative_to(ROOT).with_suffix("").parts for path in sorted((ROOT / room).rglob("*.py"))]
    return [".".join(("odecheck", *name)) for name in names if name[-1] != "__init__"]


@cache
def imported() -> Collection[str]:
    """The rooms that the battery imports, itself or through others, anywhere in their text."""
    seen: set[str] = set()
    left = [BATTERY]
    while left:
        name = left.pop()
        path = _path(name)
        if name not in seen and path is not None:
            seen.add(name)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            left += [found for found in _imports(tree, name if path.stem == "__init__" else name.rpartition(".")[0])]
            if path.stem == "__init__" and name.startswith(f"{CLAIMS}."):  # claims are found by looking into folders
                left += [f"{name}.{module.stem}" for module in path.parent.glob("*.py") if module != path]
    return {room_of(name) for name in seen} - {""}


def mutable() -> list[str]:
    """The rooms that may be mutated, whatever is executed: those that the battery imports and that do not judge."""
    return [room for room in every() if room in imported() and room not in JUDGES]


def executed(files: Collection[str]) -> list[str]:
    """Of those, the rooms of which one of these files was executed."""
    found = {Path(file).relative_to(ROOT).with_suffix("").parts[0] for file in files if _inside(file)}
    return [room for room in mutable() if room in found]


def left_out(rooms: Collection[str]) -> dict[str, str]:
    """Every room but these, with the reason why it is not mutated."""
    return {
        room: JUDGES.get(room, NOT_EXECUTED) if room in imported() else NOT_IMPORTED
        for room in every()
        if room not in rooms
    }


def _inside(file: str) -> bool:
    return Path(file).is_relative_to(ROOT)


def _path(module: str) -> Path | None:
    """The file of one of odecheck's own modules."""
    parts = module.split(".")
    place = ROOT.joinpath(*parts[1:])
    if parts[0] != "odecheck":
        return None
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    """The names that are imported, relative ones made whole; not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            whole = ".".join([*up, *([child.module] if child.module else [])])
            yield whole
            yield from (f"{whole}.{name.name}" for name in child.names)
        else:
            yield from _imports(child, package)
