"""The Markdown twin of the page: the same sections, long tables cut short, the stories at the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from odecheck.foreign import for_terminal

from .captions import caption
from .text import Explorer, Report, Section, Table, Text, clip, shown

MOST_ROWS = 60
MOST_STORIES = 100
LONGEST_CELL = 240


def to_markdown(report: Report, drawn: Mapping[str, str] | None = None) -> str:
    """The report as one page of Markdown.

    Args:
        report: what `build` made.
        drawn: the image of a figure, by its id, as `static.write` returns it; without one its caption stands alone.
    """
    lines = [f"# {escaped(report.title)}", "", f"**{escaped(report.headline)}**", ""]
    if report.counts:
        lines += [", ".join(f"{n:,} {name}" for name, n in report.counts), ""]
    if report.damaged:
        lines += ["## What could not be read", "", *(f"- {escaped(line)}" for line in report.damaged), ""]
    told = dict(list(report.stories.items())[:MOST_STORIES])
    places = _places(report)
    for section in report.sections:
        lines += _section(section, drawn or {}, told, places)
    if told:
        lines += ["## Stories", ""]
        for anchor, text in told.items():
            lines += [f'<a id="{anchor}"></a>', "", fenced(text), ""]
        if len(report.stories) > len(told):
            lines += [f"And {len(report.stories) - len(told):,} more: on the page, or with odecheck show.", ""]
    return "\n".join(lines)


def _places(report: Report) -> set[str]:
    """The blocks that a table leads to."""
    tables = (block for section in report.sections for block in section.blocks if isinstance(block, Table))
    return {str(value) for table in tables for c in table.columns if c.kind == "place" for value in table.frame[c.name]}


def _section(section: Section, drawn: Mapping[str, str], told: Mapping[str, str], places: Collection[str]) -> list[str]:
    lines = [f"## {escaped(section.title)}", ""]
    if section.lead:
        lines += [escaped(section.lead), ""]
    for block in section.blocks:
        if isinstance(block, Text):
            lines += [fenced(block.text) if block.code else escaped(block.text), ""]
            continue
        lines += [*([f'<a id="{block.id}"></a>', ""] if block.id in places else []), f"### {escaped(block.title)}", ""]
        if isinstance(block, Table):
            lines += _table(block, told)
            continue
        if block.id in drawn:
            lines += [f"![{escaped(block.title)}]({drawn[block.id]})", ""]
        elif isinstance(block, Explorer):
            lines += ["Drawn on the page, where the quantities are chosen.", ""]
        lines += [escaped(caption(block)), ""]
    return lines


def _table(table: Table, told: Mapping[str, str]) -> list[str]:
    lines = [escaped(table.note), ""] if table.note else []
    lines += ["| " + " | ".join(escaped(c.title) for c in table.columns) + " |"]
    lines += ["|" + "|".join("---:" if c.kind in ("number", "count") else "---" for c in table.columns) + "|"]
    for row in table.frame[[c.name for c in table.columns]].head(MOST_ROWS).itertuples(index=False, name=None):
        cells = (_cell(value, column.kind, told) for value, column in zip(row, table.columns, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    if len(table.frame) > MOST_ROWS:
        lines += ["", f"The first {MOST_ROWS} of {len(table.frame):,} rows; the page has all."]
    return [*lines, ""]


def _cell(value: Any, kind: Any, told: Mapping[str, str]) -> str:
    if kind == "record":
        name = str(value).rsplit("-", 1)[-1] or "–"
        return f"[{name}](#{value})" if value in told else name
    if kind == "place":
        return f"[open](#{value})" if value else "–"
    return escaped(clip(shown(value, kind), LONGEST_CELL))


def escaped(text: str) -> str:
    """Words as they are: nothing that a user named becomes Markdown, a tag, or a control sequence."""
    text = for_terminal(text)
    for character in "\\`*_[]|":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def fenced(text: str) -> str:
    """Code between fences longer than any in it, without control sequences."""
    text = for_terminal(text)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
