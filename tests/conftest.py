"""The profile of drawn problems: `ci`, the same problems in every run, unless --odecheck-profile says otherwise."""

from __future__ import annotations

import sys

import pytest

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
