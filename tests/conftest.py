"""The profile of drawn problems: `ci`, the same problems in every run, unless --odecheck-profile says otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

from odecheck.pytest_plugin import load_profile


def pytest_configure(config):
    if not config.getoption("--odecheck-profile", default=None):
        load_profile("ci")


@pytest.fixture(autouse=True)
def _places_of_modules_are_left_as_they_were():
    """A target that is a file puts its folder first on sys.path, and a test's may hold a random.py of its own."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def float64_on_one_thread() -> Iterator[None]:
    """Numbers of float64 and no threads of torch's own, in modules that ask for it:
    `pytestmark = pytest.mark.usefixtures("float64_on_one_thread")`."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
