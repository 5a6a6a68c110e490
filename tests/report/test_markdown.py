"""The Markdown twin of the page."""

import re

import pandas as pd

from odecheck.report.markdown import MOST_ROWS, escaped, fenced, to_markdown
from odecheck.report.text import Column, Report, Section, Table


def test_the_markdown_twin_has_every_section_and_story(whole):
    text = to_markdown(whole)
    for section in whole.sections:
        assert f"## {section.title}" in text
    targets = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert targets and targets <= set(re.findall(r'<a id="([^"]+)">', text))
    assert "whole story" not in text


def test_words_of_users_are_words() -> None:
    assert escaped("a|b *c* <d> [e](f)\ng") == "a\\|b \\*c\\* &lt;d&gt; \\[e\\](f) g"


def test_a_fence_is_longer_than_any_in_the_code() -> None:
    assert fenced("```\nx") == "````text\n```\nx\n````"


def test_a_long_table_is_cut_and_says_so() -> None:
    frame = pd.DataFrame({"n": range(MOST_ROWS + 1)})
    section = Section("s", "S", "", (Table("t", "T", (Column("n", "n", "count"),), frame),))
    text = to_markdown(Report("title", "headline", None, (), (section,)))
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 1} rows" in text
    assert f"| {MOST_ROWS - 1} |" in text and f"| {MOST_ROWS} |" not in text
