"""The sweep of hard problems counts what is outside its bar, what is refused, and what nobody could have seen."""

from __future__ import annotations

from dataclasses import replace

from odecheck_reference import hard as problems

from odecheck.selftest import hard, markdown, summary


def row(**changes):
    made = {
        "seed": 3,
        "family": "pulse",
        "state": hard.INSIDE,
        "quantities": "",
        "score": 0.1,
        "slack": 10.0,
        "why": "",
    }
    return made | changes


def test_what_is_outside_is_told():
    rows = [
        row(),
        row(state=hard.OUTSIDE, quantities="solution", score=3.0),
        row(state=hard.REFUSED, slack=float("nan")),
    ]
    made = {"hard": hard.summary(rows), "facts": {"versions": {}, "parts": {}}}
    assert (made["hard"]["outside"], made["hard"]["refused"], made["hard"]["problems"]) == (1, 1, 3)
    assert "solution of the hard problem 3 (pulse), 3 times" in summary.bad(made)[0]
    assert "| pulse | 3 | 1 | 0 | 1 | 10 |" in markdown.to_markdown(made, {"hard": rows})


def test_a_wrong_truth_is_outside_unless_its_feature_is_narrower_than_what_was_looked_at(monkeypatch):
    right = problems.drawn(1)
    wrong = replace(right, solution=[x + 1 for x in right.solution])
    seen = []
    for problem in (right, wrong, replace(wrong, narrowest=1e-9)):
        monkeypatch.setattr(problems, "drawn", lambda _, problem=problem: problem)
        seen += [one["state"] for one in hard.judged(1)]
    assert seen == [hard.INSIDE, hard.OUTSIDE, hard.BELOW]
