"""For all tests: one thread of torch; drawn problems of the profile `ci`, unless --odecheck-profile says otherwise."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator

import pytest
import torch

from odecheck.pytest_plugin import load_profile


def pytest_configure(config):
    # threads of workers beside each other spend their time waiting for one another
    torch.set_num_threads(1)
    if not config.getoption("--odecheck-profile", default=None):
        load_profile("ci")


def pytest_collection_modifyitems(items):
    # such an id is another in each process, and processes that share the tests refuse to begin
    if addressed := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"ids that hold an address in memory (give the parameter a name): {addressed}")


@pytest.fixture(autouse=True, scope="session")
def _references_of_their_own(tmp_path_factory):
    """Answers of a reference that a test has changed are never those of the user, nor the user's those of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODECHECK_REFERENCES", str(tmp_path_factory.getbasetemp() / "references"))
        yield


@pytest.fixture(autouse=True)
def _places_of_modules_are_left_as_they_were():
    """A target that is a file puts its folder first on sys.path, and a test's may hold a random.py of its own."""
    before, handler = list(sys.path), signal.getsignal(signal.SIGINT)
    yield
    sys.path[:] = before
    signal.signal(signal.SIGINT, handler)  # the entry point of the command line ends with none


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Numbers of float64, in modules that ask for it: `pytestmark = pytest.mark.usefixtures("in_float64")`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def browser():
    """Chromium, to look at pages with; without it and playwright tests are skipped, and fail where CI=true."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None or sync_playwright is None:
        missing = "no chromium on the PATH: apt-get install chromium" if sync_playwright else "pip install playwright"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"no browser to look at the page with: {missing}"
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()
