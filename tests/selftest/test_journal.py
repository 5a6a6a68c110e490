"""Journals resume, and refuse what does not belong to them."""

from __future__ import annotations

import pytest

from odecheck.errors import BadInput
from odecheck.selftest import journal


def _work(argument):
    return [{"value": argument}]


def test_a_journal_resumes_and_refuses_another_seed(tmp_path):
    path, pieces = tmp_path / "j.jsonl", [journal.Piece(str(i), i) for i in range(4)]
    journal.through(pieces[:2], _work, path, {"seed": 0})
    with path.open("a") as file:
        file.write('{"key": "2", "ro')  # cut off
    done: list[str] = []
    found = journal.through(pieces, _work, path, {"seed": 0}, resume=True, progress=done.append)
    assert done == ["2", "3"]
    assert [found[str(i)][0]["value"] for i in range(4)] == [0, 1, 2, 3]
    with pytest.raises(BadInput, match="begun with"):
        journal.through(pieces, _work, path, {"seed": 1}, resume=True)
    with pytest.raises(BadInput, match="already holds"):
        journal.through(pieces, _work, path, {"seed": 0})
