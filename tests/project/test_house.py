"""The structure of the package, computed from its imports: rooms, floors, no circle, no import that runs back up."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "odecheck"
Graph = dict[str, set[str]]


def files(*packages: str) -> Graph:
    """Module → the modules that it imports."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def rooms(imports: Graph, package: str) -> Graph:
    """The same for the folders and modules right below a package; the package's own face is none of them."""
    found: Graph = {}
    for module, others in imports.items():
        room = _room(module, package)
        if room:
            there = {_room(other, package) for other in others} - {room, ""}
            found.setdefault(room, set()).update(there)
    return found


def _room(module: str, package: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] != package else "".join(parts[1:2])


def floors(imports: Graph) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports. Raises CycleError for a circle."""
    found: dict[str, int] = {}
    for room in TopologicalSorter(imports).static_order():
        found[room] = 1 + max((found[other] for other in imports.get(room, ())), default=0)
    return found


@pytest.fixture(scope="module")
def imports() -> Graph:
    return files("odecheck", "odecheck_reference")


def test_no_circle_of_files(imports: Graph) -> None:
    floors(imports)


def test_no_circle_of_rooms_and_at_most_fifteen_floors(imports: Graph) -> None:
    found = floors(rooms(imports, "odecheck"))
    assert max(found.values()) <= 15, sorted(found.items(), key=lambda item: item[1])


def test_no_import_runs_back_up() -> None:
    """The floors are those of pyproject.toml; a room that is on none of them is an error as well."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_root_is_the_sentence_that_it_tells() -> None:
    modules = sorted(path.stem for path in PACKAGE.glob("*.py"))
    assert len(modules) <= 12, modules
    assert {"solvers", "subject", "claim", "refinement", "judge", "record"} <= set(modules)


def test_at_most_forty_rooms() -> None:
    found = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert len(found) + len(("reference", "asv_bench")) <= 40


def sources() -> Iterator[Path]:
    for folder in ("odecheck", "reference", "tests", "asv_bench"):
        yield from (ROOT / folder).rglob("*.py")


def test_a_file_fits_a_head() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in sources() if (lines := _lines(path)) > 330}
    assert not long


def _lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_formatting_is_the_formatters() -> None:
    skipped = [path for path in sources() if path != Path(__file__) and "fmt: skip" in path.read_text("utf-8")]
    assert len(skipped) < 20, skipped


# rooms that are not typed strictly yet: the list may only become shorter
NOT_STRICT = {"claims", "curvature", "discrete", "mutants", "ode", "second_order", "watching"}


def test_the_rooms_that_are_not_typed_strictly_become_fewer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pyright"]["strict"]
    strict = {Path(place).stem for place in settings}
    found = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert found - strict - {"__init__"} == NOT_STRICT


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two rooms, of which `above` imports `below`."""
    for name, text in {
        "__init__": "",
        "above/__init__": "",
        "above/a": "from small_house.below import b",
        "below/__init__": "",
        "below/b": "",
    }.items():
        path = tmp_path / "small_house" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "small_house"


def test_rooms_stand_above_what_they_import(small: Path) -> None:
    assert floors(rooms(files("small_house"), "small_house")) == {"below": 1, "above": 2}


def test_a_circle_is_noticed(small: Path) -> None:
    (small / "below" / "c.py").write_text("def late():\n    from small_house.above import a\n    return a\n")
    floors(files("small_house"))  # none of files
    with pytest.raises(CycleError):
        floors(rooms(files("small_house"), "small_house"))
    (small / "below" / "b.py").write_text("import small_house.above.a\n")
    with pytest.raises(CycleError):
        floors(files("small_house"))


# modules without a test file of their own, by pattern of their path below odecheck/, and where they are tested instead
TESTED_ELSEWHERE = {
    "__main__.py": "run in tests/commands/test_cli.py",
    "claims/papers/*": "each claim refutes its mutants in tests/claims",
    "claims/libraries/*": "each claim refutes its mutants in tests/claims/libraries",
    "claims/methods/*": "each claim refutes its mutants in tests/claims/methods",
    "claims/shared/*": "claims are bitten through them",
    "commands/*": "run as a user types them, in tests/commands and the tests of what they show",
    "engines/known_failures/*": "data: strict in every run of conformance",
    "mutants/*": "each mutant is refuted where a claim is bitten",
    "report/sections/*": "rendered in tests/report/test_page.py",
    "report/tables/*": "read in tests/report/test_reader.py",
    "watching/*": "judged as a whole on mistakes, right models and wrong libraries in tests/watching",
}


def untested() -> list[str]:
    """Modules below odecheck/ that have neither a test file of their name nor a reason."""
    modules = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    return sorted(
        module.as_posix()
        for module in modules
        if not any((ROOT / "tests" / module.parent).glob(f"test_{module.stem}*.py"))
        and not any(module.match(pattern) for pattern in TESTED_ELSEWHERE)
    )


def test_tests_mirror_the_package() -> None:
    assert untested() == []


def test_every_reason_is_needed() -> None:
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    assert all(any(module.match(pattern) for module in modules) for pattern in TESTED_ELSEWHERE)


def test_every_test_file_is_of_a_module_or_of_the_project() -> None:
    """A test of a module that has moved moves with it."""
    stray = [
        path.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent.name not in ("project", "reference", "asv_bench", "tests")
        and not (PACKAGE / path.parent.relative_to(ROOT / "tests")).is_dir()
    ]
    assert stray == []
