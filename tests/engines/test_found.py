"""A library is added by one declaration, in a file or in somebody else's package; a wrong declaration is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from odecheck import engines
from odecheck.engines import found as finding
from odecheck.engines.found import declared_name, libraries, library_of
from odecheck.engines.library import Declared
from odecheck.engines.own import CLOSED
from odecheck.engines.torchdiffeq import BACKPROP, of_release
from odecheck.errors import BadInput
from odecheck.solvers import Adaptive
from tests.engines.made import ENGINE, made

ROOT = Path(__file__).parents[2]
MINE = '''
"""A library of somebody: torchdiffeq's backpropagation under another name."""

from torchdiffeq import odeint

from odecheck.engines.base import OdeIntEngine
from odecheck.engines.library import Asked, Declared, Library
from odecheck.engines.script_call import like_torchdiffeq
from odecheck.solvers import Adaptive

ENGINE = OdeIntEngine("mine backprop", "steps", odeint)


def asks(release, folder):
    return [Asked(Adaptive("dopri5", rtol=1e-7), ENGINE, "backprop", "dopri5", ("solution",), brief=True)]


def script_call(name, how, options):
    line = "from torchdiffeq import odeint"
    return like_torchdiffeq(line, "return odeint(field, y0, ts, **how)", how, options)


LIBRARY = Library(
    "mine",
    "torchdiffeq",
    ("0.2.5",),
    asks,
    engines=(Declared(ENGINE, ("dopri5", "bosh3")),),
    lands=True,
    script_call=script_call,
    order=5,
)
'''
NOTICED = """
from odecheck.conformance.libraries import versions
from odecheck.conformance.matrix import matrix
from odecheck.cost.presets import settings, subjects
from odecheck.engines.found import libraries
from odecheck.claims import ALL
from odecheck.problem_sets.conformance import network
from odecheck.reproduce import script

from pathlib import Path
mine = libraries()[0]
assert mine.name == "mine" and len(libraries()) == 7, [one.name for one in libraries()]
(version,) = versions(["mine"], Path("."))
assert not version.trouble, version
whole = matrix([version], Path("."), claim=["SOL-9"])
assert len(whole.units) == 1
assert [s.name for s in subjects() if s.engine is mine.engines[0].engine] == ["dopri5(rtol=0.001), mine backprop"]
measured = [s for s in settings() if s.engine is mine.engines[0].engine]
assert [(s.solver.method, s.solver.land) for s in measured] == [("dopri5", True), ("bosh3", True)]
claim = next(claim for claim in ALL if claim.id == "SOL-2")
text = script(claim, whole.units[0].subject, network(), observed=1.0, expected=0.0, bar=0.1)
assert "from torchdiffeq import odeint" in text and "odecheck" not in text
print("noticed")
"""


def run(*typed: str, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    before = os.pathsep.join((str(path), str(ROOT), str(ROOT / "reference")))
    environment = {**os.environ, "PYTHONPATH": before, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", **more}
    return subprocess.run(
        [sys.executable, *typed], cwd=path, env=environment, capture_output=True, text=True, timeout=300
    )


def package(folder: Path, entries: str, **files: str) -> Path:
    """A package as pip leaves it: its modules, and its metadata with entry points."""
    info = folder / "somebody-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[odecheck.engines]\n{entries}\n")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("value", ["somebody", "somebody:LIBRARY"])
def test_a_library_of_another_package_is_noticed_by_everybody(value, tmp_path):
    path = package(tmp_path, f"mine = {value}", somebody=MINE)
    done = run("-c", NOTICED, path=path)
    assert done.returncode == 0 and done.stdout == "noticed\n", done.stderr


def test_a_library_of_one_file_is_noticed_by_everybody(tmp_path):
    shutil.copytree(ROOT / "odecheck", tmp_path / "odecheck", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "odecheck" / "engines" / "mine.py").write_text(MINE)
    done = run("-c", NOTICED, path=tmp_path)
    assert done.returncode == 0 and done.stdout == "noticed\n", done.stderr


def test_the_command_runs_a_library_of_another_package(tmp_path):
    path = package(tmp_path / "site", "mine = somebody", somebody=MINE)
    typed = ("conformance", "mine", "--claim", "SOL-9", "--workers", "1", "--run")
    done = run("-c", "from odecheck.commands.cli import main; main()", *typed, str(tmp_path / "run"), path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "holds" in done.stdout


def test_an_entry_point_that_does_not_import_is_said_and_others_go_on(tmp_path):
    broken = "import no_such_module_of_anybody"
    path = package(tmp_path, "mine = somebody\nbroken = torn", somebody=MINE, torn=broken)
    done = run("-c", NOTICED, path=path)
    assert done.returncode == 0 and done.stdout == "noticed\n", done.stderr
    assert "broken = torn of the group odecheck.engines does not import and is left out" in done.stderr
    assert "no_such_module_of_anybody" in done.stderr and 'python -c "import torn"' in done.stderr
    asked = run("-c", "from odecheck.commands.cli import main; main()", "conformance", "torn", path=path)
    assert asked.returncode == 2 and "there is no library 'torn'" in asked.stderr
    assert "left out" in " ".join(asked.stderr.split())


def module(**names: object) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(names)
    return made


def brought(monkeypatch, *named: object) -> None:
    """Entry points that name these."""
    points = [
        type("Point", (), {"name": f"p{i}", "value": f"m{i}", "module": f"m{i}", "load": lambda self, x=one: x})()
        for i, one in enumerate(named)
    ]
    monkeypatch.setattr(finding, "entry_points", lambda group: points)


@pytest.fixture(autouse=True)
def _looked_for_anew():
    finding.found.cache_clear()
    yield
    finding.found.cache_clear()


def test_what_is_right_is_taken(monkeypatch):
    brought(monkeypatch, made("second", Declared(ENGINE)), module(LIBRARY=made("first", order=1)))
    assert libraries()[0].name == "first" and libraries()[-1].name == "second"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([made("scipy")], "both declare the library 'scipy'"),
        ([made("a"), made("a")], "both declare the library 'a'"),
        ([made("a", Declared(CLOSED))], "both declare the engine 'odecheck.odeint'"),
        ([made("a", Declared(ENGINE)), made("b", Declared(ENGINE))], "both declare the engine 'another'"),
        ([module(LIBRARY="torch")], "has a str as LIBRARY"),
        ([module()], "has no LIBRARY"),
        ([ENGINE], "has a OdeIntEngine as LIBRARY"),
        ([module(LIBRARY=made("a"), MINE=ENGINE)], "has the engine 'another', which no LIBRARY names"),
    ],
)
def test_a_wrong_declaration_is_refused_in_words(named, said, monkeypatch):
    brought(monkeypatch, *named)
    with pytest.raises(BadInput) as refused:
        libraries()
    assert said in refused.value.seen and refused.value.cause and refused.value.fix


@pytest.mark.parametrize("names", [{"LIBRARY": "torch"}, {"MINE": ENGINE}])
def test_a_wrong_file_is_refused_too(names, monkeypatch):
    monkeypatch.setattr(
        finding.pkgutil, "iter_modules", lambda *_: [type("Info", (), {"name": "odecheck.engines.made"})]
    )
    monkeypatch.setitem(sys.modules, "odecheck.engines.made", module(**names))
    with pytest.raises(BadInput, match=r"odecheck/engines/made.py has"):
        libraries()


def test_ours_are_all_there_and_whatever_is_asked_is_declared():
    names = [one.name for one in libraries()]
    assert names == ["torchode", "torchdyn", "odecheck", "scipy", "torchdiffeq", "diffrax"]
    for library in libraries():
        assert library.engines and library.script_call
        assert issubclass(library.adaptive, Adaptive)
        for way in library.asks(library.tested[0], ""):
            assert library_of(way.engine) is library, way
    assert {path.stem for path in Path(engines.__path__[0], "known_failures").glob("[!_]*.py")} <= set(names)


def test_an_engine_of_another_release_is_the_declared_one():
    old = of_release(BACKPROP, "0.0.1", "")
    assert old.name == "torchdiffeq 0.0.1 backprop" and declared_name(old) == "torchdiffeq backprop"
    assert library_of(old) is library_of(BACKPROP)


@dataclass(frozen=True)
class Stranger:
    name: str = "torchdiffeq backprop, as somebody else has it"


def test_an_engine_of_nobody_has_no_library():
    assert library_of(Stranger()) is None  # type: ignore[arg-type]


WITHOUT = """
import sys
for name in ("torchode", "torchdyn", "diffrax", "jax"):
    sys.modules[name] = None
from odecheck.engines.found import libraries
from tests.engines.made import ENGINE, made
print([one.name for one in libraries()])
"""


def test_a_library_that_is_missing_is_still_declared(tmp_path):
    done = run("-c", WITHOUT, path=tmp_path)
    assert done.stdout.count("'") == 12, done.stderr
