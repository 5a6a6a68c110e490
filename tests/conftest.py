"""The profile of drawn problems: `ci`, the same problems in every run, unless --odecheck-profile says otherwise."""

from __future__ import annotations

from odecheck.pytest_plugin import load_profile


def pytest_configure(config):
    if not config.getoption("--odecheck-profile", default=None):
        load_profile("ci")
