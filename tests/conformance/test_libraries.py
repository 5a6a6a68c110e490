"""Which versions of the declared libraries can be run here, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import pytest

from odecheck import BadInput
from odecheck.conformance import libraries as asked
from odecheck.conformance.libraries import Version, versions
from odecheck.engines.found import libraries
from odecheck.engines.release import NotInstalled
from tests.conformance.rows import SAMPLE

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
