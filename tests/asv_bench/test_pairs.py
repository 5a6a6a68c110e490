"""The report of commits side by side is what its figures say, and of the commits and benchmarks that are asked for."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "asv_bench"))
import pairs

ROOT = Path(__file__).parents[2]
FACTS = json.loads((ROOT / "reports" / "pairs.json").read_text(encoding="utf-8"))
ROWS = [pairs.Row(**row) for row in FACTS["rows"]]


def test_the_committed_page_is_that_of_its_figures() -> None:
    page = (ROOT / "reports" / "pairs.md").read_text(encoding="utf-8")
    assert page == pairs.page(ROWS, FACTS["load"], FACTS["cores"])


def test_it_is_of_the_commits_and_benchmarks_that_are_asked_for() -> None:
    commits = list(pairs.COMMITS)
    wanted = [*pairwise(commits), (commits[-1], commits[-1])]
    assert list(dict.fromkeys((row.old, row.new) for row in ROWS)) == wanted
    assert len(ROWS) == len(wanted) * sum(len(choices) for _, choices in pairs.SERIES.values())
    for row in ROWS:
        assert row.nfe_old > 0 and row.nfe_new > 0 and (row.ratio is None) == bool(row.message)
        assert row.ratio is None or (row.low is not None and row.high is not None and row.low < row.ratio < row.high)
        if row.old == row.new:
            assert row.nfe_old == row.nfe_new


def test_what_has_changed_is_said() -> None:
    row = pairs.Row("a" * 8, "b" * 8, "x", 10.0, 12.0, 1.2, 1.1, 1.3)
    assert "10 → 12 | ×1.200 | ×1.200 | ×1.100 to ×1.300 | slower" in pairs._line(row)
    assert "quicker" in pairs._line(replace(row, ratio=0.8, low=0.7, high=0.9))
    assert "no change seen" in pairs._line(replace(row, low=0.9))
    assert "refused" in pairs._line(replace(row, ratio=None, message="refused"))
