"""Which versions of the declared libraries can be run here, and what is said of the others."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

from odecheck import BadInput
from odecheck.conformance import libraries as asked
from odecheck.conformance.libraries import Version, versions
from odecheck.engines import found as finding
from odecheck.engines.found import libraries, library_of
from odecheck.engines.release import NotInstalled
from tests.conformance.rows import SAMPLE

DECLARED = """
import tiny_ode
from odecheck.engines.base import OdeIntEngine
from odecheck.engines.library import Declared, Library

ENGINE = OdeIntEngine("tiny backprop", "steps", None)
LIBRARY = Library("tiny", "tiny_ode", (tiny_ode.__version__,), lambda *_: [], engines=(Declared(ENGINE),))
"""
HERE = replace(SAMPLE, tested=("1", version("scipy")))


def test_of_one_that_is_installed_its_version_is_run(tmp_path):
    (one,) = versions([], tmp_path, [HERE])
    assert (one.release, one.trouble, one.remark, one.named) == (version("scipy"), "", "", False)
    (same,) = versions([f"sample=={version('scipy')}"], tmp_path, [HERE])
    assert same == replace(one, named=True)


def test_another_version_than_the_installed_one_says_what_to_type(tmp_path):
    (one,) = versions(["sample==1"], tmp_path, [HERE])
    assert one.trouble == f"sample {version('scipy')} is installed" and one.fix == "pip install scipy==1"


def test_a_version_that_was_not_tested_says_what_is_expected_of_it(tmp_path):
    (one,) = versions([], tmp_path, [SAMPLE])
    assert not one.trouble and "not tested with" in one.remark and "what 2 was known to" in one.remark


def test_releases_side_by_side_come_newest_first_and_one_that_cannot_be_had_has_its_trouble(tmp_path, monkeypatch):
    def install(package, release, folder):
        if release == "1":
            raise NotInstalled("no network", "type this")

    monkeypatch.setattr(asked, "install", install)
    newer, older = versions([], tmp_path, [replace(SAMPLE, side_by_side=True)])
    assert newer == Version(newer.library, "2") and older == Version(newer.library, "1", "no network", "type this")


def test_an_unknown_library_is_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no library 'torchdifeq'"):
        list(versions(["torchdifeq"], tmp_path))


def test_every_library_declares_what_it_needs():
    found = libraries()
    assert len({library.name for library in found}) == len(found) >= 6
    for library in found:
        assert isinstance(Version(library, ""), Version)
        assert library.tested
        assert all(known.why and known.claims for known in library.known)
        asked = library.asks(library.tested[-1], "")
        keys = [(way.solver.name, way.engine.name) for way in asked]
        assert len(set(keys)) == len(keys)


def test_a_file_or_a_module_of_ones_own_is_a_library_from_then_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "tiny_ode.py").write_text('__version__ = "0.7"\n')
    (tmp_path / "tiny_declared.py").write_text(DECLARED)
    try:
        (one,) = versions(["tiny_declared.py"], tmp_path)
        assert (one.library.name, one.release, one.trouble, one.named) == ("tiny", "0.7", "", True)
        assert one.library in libraries() and library_of(one.library.engines[0].engine) is one.library
        # by its module's name and by its own it is the same
        assert [v.library for v in versions(["tiny_declared", "tiny==0.7"], tmp_path)] == [one.library, one.library]
        (tmp_path / "tiny_copied.py").write_text(DECLARED)
        with pytest.raises(BadInput, match="both declare the library 'tiny'"):
            list(versions(["tiny_copied.py"], tmp_path))
        assert len([one for one in libraries() if one.name == "tiny"]) == 1
    finally:
        finding._added.clear()
        finding._forget()


@pytest.mark.parametrize("raised", ["raise RuntimeError('by itself')", "raise SystemExit(0)"])
def test_a_package_that_raises_is_said_in_words(tmp_path, monkeypatch, raised):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "loudly").mkdir()
    (tmp_path / "loudly" / "__init__.py").write_text(raised)
    with pytest.raises(BadInput, match=r"there is no library 'loudly\.declared', and loudly\.declared does not import"):
        list(versions(["loudly.declared"], tmp_path))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_file.py", "there is no file"),
        ("no_such_module", "there is no library 'no_such_module'"),
        ("torchdifeq", "there is no library"),
        ("no.such.module", "there is no library"),
        ("json", "has no 'LIBRARY'"),
        ("json:dumps", "a function as LIBRARY"),
    ],
)
def test_what_declares_no_library_says_so(target, said, tmp_path):
    with pytest.raises(BadInput, match=said) as refused:
        list(versions([target], tmp_path))
    assert "odecheck verify" not in str(refused.value)
