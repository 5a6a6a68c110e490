"""What asv says of a benchmark that fails is kept, and asv gets what it would have got."""

from __future__ import annotations

import json
from types import SimpleNamespace

from odecheck.bench.asv_with_messages import MOST_CHARACTERS, keep_messages


def test_failures_are_kept_and_results_are_as_they_were(tmp_path):
    class Results:
        def __init__(self):
            self.had = []

        def add_result(self, benchmark, result, selected_idx=None, *, started_at=None):
            self.had.append((benchmark["name"], result, selected_idx, started_at))
            return len(self.had)

    keep_messages(Results, str(tmp_path / "messages.jsonl"))
    results = Results()
    said = [(0, "a warning"), (1, "ValueError: broken"), (-256, "x" * 9999 + "timed out"), (7, "")]
    for code, text in said:
        result = SimpleNamespace(errcode=code, stderr=text)
        assert results.add_result({"name": f"b{code}"}, result, [1], started_at=3) == len(results.had)
        assert results.had[-1] == (f"b{code}", result, [1], 3)
    kept = [json.loads(line) for line in (tmp_path / "messages.jsonl").read_text().splitlines()]
    assert [one["benchmark"] for one in kept] == ["b1", "b-256", "b7"]
    assert [one["message"][-9:] for one in kept] == ["r: broken", "timed out", " status 7"]
    assert len(kept[1]["message"]) == MOST_CHARACTERS
