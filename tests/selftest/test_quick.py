"""The small self-test: it passes as it is, and says what is wrong with a claim, a subject or a line that has moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from odecheck.claim import Mutant
from odecheck.errors import BadInput
from odecheck.selftest import battery, kinds, quick

MEMORY = next(kind for kind in kinds.KINDS if kind.family == kinds.MEMORY)
NONE = quick.Selection(kinds=(), sources=(), alarms=0, planted=0, hard=0, bars=0)
SMALL = replace(NONE, kinds=(MEMORY,), wrong=1, sources=quick.SOURCES[-3:-2], hard=1, bars=1)


def test_a_selection_passes_and_is_gone_on_with(tmp_path: Path) -> None:
    done: list[str] = []
    rows = quick.run(SMALL, tmp_path / "quick.jsonl", 4, progress=done.append)
    assert quick.bad(rows) == []
    assert done == list(SMALL.costs(4))
    assert {row["what"] for row in rows} == {quick.WRONG, quick.RIGHT, quick.HARD, quick.BARS}
    assert quick.table(rows)[0] == (kinds.MEMORY, "2 of 2", "2 of 2")
    again = quick.run(SMALL, tmp_path / "quick.jsonl", 4, resume=True)
    assert again == rows
    with pytest.raises(BadInput):
        quick.run(SMALL, tmp_path / "quick.jsonl", 4)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    idle = replace(MEMORY, claims=("SOL-9",), mutants=(Mutant("nothing at all", lambda s: s),))
    noise = next(case.claim.mutants[0] for case in replace(MEMORY, claims=("SOL-9",)).cases())
    broken = replace(MEMORY, claims=("SOL-9",), family="broken", subject=noise(MEMORY.subject))
    rows = quick.run(replace(NONE, kinds=(idle, broken)), tmp_path / "quick.jsonl", 0)
    said = quick.bad(rows)
    assert said[0] == f"no claim refutes: SOL-9: nothing at all ({kinds.MEMORY}; holds)"
    assert said[1].startswith("a right subject is not believed: SOL-9 | ")


def test_a_piece_that_dies_is_said(tmp_path: Path) -> None:
    rows = quick.run(replace(NONE, sources=[("ode.flow.f: a -> b", "")]), tmp_path / "quick.jsonl", 0)
    (said,) = quick.bad(rows)
    assert "another mistake of that line in SOURCES" in said


def test_every_mistake_in_the_source_is_of_a_line_that_there_is() -> None:
    cases = {case.key for case in battery.cases(battery.problems())}
    for key, case in quick.SOURCES:
        assert quick.mutant_of(key).key == key
        assert case in cases
