"""How the battery judges a mutant, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import torch

from odecheck.selftest import battery


def test_five_errors_in_a_row_end_a_mutant():
    class Broken(torch.nn.Linear):
        def forward(self, *_):
            raise ZeroDivisionError

    cases = [c for c in battery.cases(battery.problems()) if c.claim.id == "SOL-2"]
    right = {c.key: battery.Outcome(c.key, c.claim.id, "holds", 0.1) for c in cases}
    assert len(cases) > battery.ENOUGH
    found = list(battery.judged(cases, right, lambda s: replace(s, around=(lambda _: Broken(1, 1),)), budget=0.0))
    assert [one.verdict for one in found] == ["error"] * battery.ENOUGH
