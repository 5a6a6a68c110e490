"""The page of a history: what changed, the commits, and every value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from odecheck.bench import Done, changes
from odecheck.bench.page import write
from tests.bench.series import series

pytest.importorskip("matplotlib")
COMMITS = ["0", "1", "2"]
SUITE = SimpleNamespace(subject=lambda commit: f"the message of {commit}")
NFE = series(40.0, "failed", 50.0)
SECONDS = replace(series(1.0, 1.0, 1.0, kind="time", unit="seconds"), benchmark="t")
DONE = Done("0", "", "", True, 0, 12.4, "", "m", "a device", (0.5, 0.5), {"torch": "2.9"}, "")


@pytest.fixture
def page(tmp_path):
    def written(*asked, done=(DONE,), said=""):
        found = changes(asked)
        return write(SUITE, asked, found, done, COMMITS, Path(tmp_path), machine="m", said=said).read_text()

    return written


def test_what_changed_and_every_exact_value(page, tmp_path):
    text = page(NFE, SECONDS, said="nothing was compared")
    assert "2 series at 3 commits" in text and "40 → 50 (×1.25)" in text and "nothing was compared." in text
    assert "| b | 40 | failed | 50 |" in text and "| t |" not in text  # seconds are in the table alone
    assert "| 0 | the message of 0 | ok | 12 | 0.5 |" in text and "With torch 2.9; a device." in text
    table = pd.read_parquet(tmp_path / "history.parquet")
    assert len(table) == 6 and list(table[table.benchmark == "b"].state) == ["measured", "failed", "measured"]
    assert set(table.machine) == {"m"} and "<svg" in (tmp_path / "history.svg").read_text()


def test_nothing_changed_is_said(page):
    text = page(series(1.0, 1.0, 1.0), done=())
    assert "Nothing." in text and "With" not in text and "| 0 | the message of 0 |  | |  |" in text


def test_a_commit_without_a_value_is_a_dash(page):
    assert "| b | 1 | – | 1 |" in page(series(1.0, "missing", 1.0))
