"""The numbers of a selftest, and what makes it fail."""

from __future__ import annotations

from odecheck.selftest import markdown, mutation, summary


def test_an_unexplained_survivor_is_trouble():
    survivor = mutation.row("made up", "sign", "ode", mutation.Verdicts(holds=["NODE-1"]))
    dead = mutation.row("dead", "sign", "ode", mutation.Verdicts(killers=["NODE-1"]))
    made = summary.summary({"mutants": [survivor, dead]}, {"seed": 0, "versions": {}})
    assert made["mutants"]["score"] == 0.5
    assert any("made up" in line for line in summary.bad(made))
    assert "made up" in markdown.to_markdown(made, {"mutants": [survivor, dead]})
