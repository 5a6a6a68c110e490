"""The names of the tiers are those that everybody reads."""

from __future__ import annotations

from odecheck_reference import catalogue

from odecheck import pytest_plugin
from odecheck.runner import presets
from odecheck.runner.tiers import Tier


def test_every_tier_has_problems():
    assert tuple(map(str, Tier)) == presets.TIERS == pytest_plugin.TIERS == tuple(catalogue.TIERS)
