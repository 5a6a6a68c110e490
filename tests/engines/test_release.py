"""Releases side by side: each in a folder of its own, and each is what it is called."""

from __future__ import annotations

import sys

import pytest
import torch

from odecheck import Unsupported
from odecheck.engines.release import CHECKOUT, NotInstalled, default_folder, install, is_installed, load
from odecheck.engines.torchdiffeq import RELEASES, Coming, Interface, asks, methods_of, solvers_of
from odecheck.solvers import GivenSteps


def lay(folder, release, states=None, number=1):
    """A release of a library `sample`, as pip leaves it."""
    home = folder / f"sample-{release}"
    (home / "sample").mkdir(parents=True)
    says = f"__version__ = {states!r}\n" if states else ""
    (home / "sample" / "__init__.py").write_text(f"from ._number import NUMBER\n{says}")
    (home / "sample" / "_number.py").write_text(f"NUMBER = {number}\n")
    info = home / f"sample-{release}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sample\nVersion: {release}\n")
    return home


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("sample_")]:
        del sys.modules[name]


def test_two_releases_know_nothing_of_each_other(folder):
    lay(folder, "1.0", "1.0", 1)
    lay(folder, "2.0", None, 2)
    one, two = (load("sample", release, str(folder)) for release in ("1.0", "2.0"))
    assert (one.NUMBER, two.NUMBER) == (1, 2)
    assert load("sample", "1.0", str(folder)) is one
    assert "sample" not in sys.modules


def test_a_folder_that_holds_another_release_is_refused(folder):
    lay(folder, "1.0", "1.1")
    with pytest.raises(Unsupported, match=r"calls itself 1\.1"):
        load("sample", "1.0", str(folder))
    with pytest.raises(Unsupported, match=r"calls itself 1\.1"):  # and it is not left behind half imported
        load("sample", "1.0", str(folder))


def test_a_release_that_is_not_there_is_unsupported(folder):
    with pytest.raises(Unsupported, match=r"sample 3\.0 is not in"):
        load("sample", "3.0", str(folder))


def test_a_release_that_pip_cannot_have_says_what_to_type(folder, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(NotInstalled, match="pip could not install it") as refused:
        install("odecheck-has-no-such-package", "1.0", folder / "cache")
    assert refused.value.fix.startswith("pip install --no-deps --target")
    assert list((folder / "cache").iterdir()) == []  # nothing half installed


def test_what_is_there_is_not_installed_again(folder):
    home = lay(folder, "1.0")
    assert install("sample", "1.0", folder) == home


def test_the_folder_is_the_user_s(monkeypatch):
    monkeypatch.setenv("ODECHECK_CACHE", "/somewhere/else")
    assert str(default_folder()) == "/somewhere/else"
    monkeypatch.delenv("ODECHECK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(default_folder()) == "/cache/odecheck/releases"


def test_the_installed_release_needs_no_folder():
    assert is_installed("torchdiffeq", RELEASES[-1])
    assert load("torchdiffeq", RELEASES[-1], "/nowhere").__name__ == "torchdiffeq"


class Decay(torch.nn.Module):
    def forward(self, t, y):
        return -y


@pytest.mark.parametrize("release", RELEASES[:-1])
def test_every_release_solves_with_the_methods_it_is_said_to_have(release):
    home = default_folder() / f"torchdiffeq-{release}"
    if not home.is_dir():
        pytest.skip(f"odecheck conformance torchdiffeq=={release} installs it")
    use = Interface("odeint", release, str(default_folder()))
    assert set(solvers_of(use.library)) == set(methods_of(release))
    ts, y0 = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    got = use(Decay(), y0, ts, method="dopri5", options={"max_num_steps": 1000}, rtol=1e-8, atol=1e-10)
    assert torch.allclose(got[:, 0, 0], torch.exp(-ts), rtol=1e-6, atol=0)
    with pytest.raises(Unsupported, match="no heun2"):
        use(Decay(), y0, ts, method="heun2", options={})


def test_an_option_that_an_old_release_would_ignore_is_unsupported():
    release = "0.1.1"
    if not (default_folder() / f"torchdiffeq-{release}").is_dir():
        pytest.skip(f"odecheck conformance torchdiffeq=={release} installs it")
    use = Interface("odeint", release, str(default_folder()))
    with pytest.raises(Unsupported, match="no option interp"):
        use(Decay(), torch.ones(1, 1), torch.tensor([0.0, 1.0]), method="rk4", options={"interp": "cubic"})


def test_a_checkout_is_loaded_from_where_it_lies_and_is_the_version_that_it_states(folder):
    (folder / "sample").mkdir()
    (folder / "sample" / "__init__.py").write_text("from ._number import NUMBER\n__version__ = '1.5'\n")
    (folder / "sample" / "_number.py").write_text("NUMBER = 7\n")
    module = load("sample", "1.5+checkout.0123abcdef", str(folder))
    assert module.NUMBER == 7 and load("sample", "1.5+checkout.0123abcdef", str(folder)) is module
    with pytest.raises(Unsupported, match=r"calls itself 1\.5"):
        load("sample", "1.6+checkout.0123abcdef", str(folder))
    with pytest.raises(Unsupported, match="is not in"):
        load("sample", "1.5+checkout.0123abcdef0", str(folder / "elsewhere"))


def test_a_checkout_is_asked_for_methods_that_no_release_has():
    newest, coming = asks(RELEASES[-1], ""), asks(f"{RELEASES[-1]}{CHECKOUT}0123abcdef", "")
    more = {way.method for way in coming} - {way.method for way in newest}
    assert more == {*Coming.METHODS, "tsit5"}
    assert {way.method for way in newest} < {way.method for way in coming}
    assert all("+checkout.0123abcdef" in way.engine.name for way in coming)


def test_steps_that_are_given_are_those_of_the_solver_s_own_methods():
    assert GivenSteps("gl4", known=Coming.METHODS).refined().order == 4
    with pytest.raises(ValueError, match="no fixed-step method 'gl4'"):
        GivenSteps("gl4")
