"""The selftest's page."""

from __future__ import annotations

from odecheck.selftest import markdown, mutation, summary
from tests.selftest.levels import LEVELS


def test_the_page_has_its_scores_first_and_a_pivot_of_families():
    rows = [
        mutation.row(f"{part} {family} {how}", family, part, mutation.Verdicts(**{how: ["NODE-1"]}))
        for part in ("y0", "ode")
        for family in ("sign", "float32")
        for how in ("killers", "holds")
    ]
    parts = {"mutants": {"seed": 1, "asked": 4, "cpu_seconds": 60.0, "commits": ["abc"]}}
    facts = {"seed": 1, "versions": {"odecheck": "0"}, "parts": parts}
    found = {"mutants": rows, "discernment": LEVELS}
    page = markdown.to_markdown(summary.summary(found, facts), found)
    shown = markdown.unfolded(page)
    assert "<details>" in page and "<" not in shown.replace("<br>", "")
    assert "*What each claim refutes*: in selftest.md" in shown and len(shown) < len(page)
    assert page.index("**4 of 8**") < page.index("## Mutation score") < page.index("### Survivors")
    assert "| ode | **1/2** | **1/2** | **2/4** |" in page
    assert "**8e-11**" in page and "| 0.001 |" in page
    assert "`odecheck selftest --part mutants --mutants 4 --seed 1` | 1.0 | abc |" in page
