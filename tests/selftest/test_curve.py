"""The curve of discernment is drawn of what was measured, and names the tests that are levels."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from odecheck.selftest import curve
from tests.selftest.levels import LEVELS

pytest.importorskip("matplotlib")


def test_an_engine_is_a_line_and_another_test_a_level(tmp_path):
    curve.draw(LEVELS, tmp_path / "selftest.svg")
    text = (tmp_path / "selftest.svg").read_text()
    assert "gradcheck, defaults" in text and "odecheck.odeint" in text
    assert "torchdiffeq adjoint" not in text  # nothing was measured of it
    assert ElementTree.fromstring(text).tag.endswith("svg")


def test_every_panel_knows_which_part_the_other_tests_look_at():
    assert set(curve.PARTS) == set(curve.PANELS)
