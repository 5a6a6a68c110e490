"""Cells and labels as people read them."""

import math

import pytest

from odecheck.report.text import LONGEST_TEXT, clip, finite, shown, slug, tidy


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (math.nan, "number", "–"),
        (math.inf, "number", "∞"),
        (-math.inf, "count", "−∞"),
        (1234567.0, "count", "1,234,567"),
        (1.23456e-9, "number", "1.23e-09"),
        (None, "text", "–"),
    ],
)
def test_cells(value, kind, text):
    assert shown(value, kind) == text


def test_clip():
    assert clip("a\n b") == "a b"
    assert clip("x" * 10**6) == "x" * 59 + "…"
    assert len(clip(" " * 1000 + "x")) <= 60


def test_tidy_text_is_printable_and_not_longer_than_anybody_reads() -> None:
    assert tidy(None) == tidy(math.nan) == ""
    assert tidy("a\x07b\tc") == "a\ufffdb\tc"
    cut = tidy("x" * 5_000)
    assert cut.startswith("x" * LONGEST_TEXT) and cut.endswith("(5,000 characters in all)")


def test_identifiers_differ_by_their_number_and_can_be_read() -> None:
    assert slug(3, "Nested spheres, ä") == "3-nested-spheres---"
    assert finite([1.0, math.nan, math.inf]) == 1
