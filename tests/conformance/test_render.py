"""The matrix as a page: what is refuted in it, why, and what was not to be expected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import row_of, unexpected
from odecheck.conformance.render import markdown, states, write
from odecheck.judge import Verdict
from tests.conformance.rows import SAMPLE, WAY, record_of_a_solution


@pytest.fixture
def record():
    return record_of_a_solution()


def test_the_matrix_shows_what_is_refuted_and_why(record):
    good = row_of(record, Version(SAMPLE, "2"), WAY)
    refuted = replace(record, verdict=Verdict.REFUTED, observed=2.0, expected=1.0, bar=0.1, score=10.0)
    known = row_of(refuted, Version(SAMPLE, "1"), WAY)
    news = row_of(refuted, Version(SAMPLE, "2"), replace(WAY, method="BDF"))
    text = markdown([good, known, news], {"versions": {"torch": "2"}})
    assert unexpected([good, known, news]) == [news]
    assert "| 1 | solve_ivp | RK45 | ✗ |" in text
    assert "| 2 | solve_ivp | RK45 | ✓ |" in text
    assert "| 2 | solve_ivp | BDF | **✗** |" in text
    assert "a reason. SOL-2; 1 rows" in text
    assert text.index("## Not expected") < text.index(f"| {news.row} | sample 2")


def test_a_badge_counts_the_newest_version_of_each_library_and_what_was_judged():
    row = row_of(record_of_a_solution(), Version(SAMPLE, "2"), WAY)
    assert states([row]) == [("sample SOL-2", "holds")]
    older = replace(row, version="1", ok=False, verdict="refuted")
    known = replace(row, claim="SOL-3", verdict="refuted", expected_failure="why")
    unsure = replace(row, claim="SOL-4", verdict="inconclusive")
    none = [replace(row, verdict="unsupported"), replace(row, claim="", verdict="error")]
    assert states([*none, row, known, unsure, older]) == [
        ("sample SOL-2", "holds"),
        ("sample SOL-3", "known failure"),
        ("sample SOL-4", "undecided"),
    ]
    assert states([older]) == [("sample SOL-2", "failed")]


def test_without_the_extra_of_tables_no_table_of_before_is_left(tmp_path, monkeypatch):
    row = row_of(record_of_a_solution(), Version(SAMPLE, "2"), WAY)
    write(tmp_path, [row], {})
    assert (tmp_path / "conformance.parquet").exists()
    monkeypatch.setattr("odecheck.conformance.render.can_write", lambda: False)
    write(tmp_path, [row], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conformance.json", "conformance.md"]
