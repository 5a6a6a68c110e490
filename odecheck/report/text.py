"""What a report is put together from: sections of text, tables and figures, all of them data.

A block says nothing about how it is drawn: `page` makes a web page of it, `markdown` Markdown, `static` SVG and PNG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from odecheck.foreign import words

# Okabe and Ito's colours, told apart by readers of every kind of colour vision; then dashes and symbols tell more
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a900")
LONGEST_LABEL = 60
LONGEST_TEXT = 4_000


@dataclass(frozen=True)
class Caption:
    """What to see in a figure, in which units, of how many numbers, and what makes it again."""

    see: str
    units: str
    n: str
    again: str

    def __str__(self) -> str:
        return f"{self.see} Units: {self.units}. n = {self.n}. Made again by: {self.again}"


@dataclass(frozen=True)
class Axis:
    """An axis of a figure, linear or logarithmic."""

    title: str
    log: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one name.

    Attributes:
        name: in the legend.
        x: numbers or words (n,).
        y: numbers (n,).
        line: whether the points are joined.
        marks: whether each has a mark.
        low: lower ends of error bars (n,), if there are any.
        high: upper ends (n,).
        band: whether these ends are drawn as a band.
        hover: what is said of each point.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[float]
    line: bool = True
    marks: bool = True
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    band: bool = False
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        x: the horizontal axis.
        y: the vertical one.
        series: what is drawn.
        guides: dashed lines, as ("x" or "y", where, label).
        beside: whether names share a word of the axis.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    guides: tuple[tuple[str, float, str], ...] = ()
    beside: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure of one or more panels."""

    id: str
    title: str
    caption: Caption
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class GridPanel:
    """One map of a grid.

    Attributes:
        title: above it.
        cells: rows × columns, the index of a level or None where nothing is known.
        notes: rows × columns, what is written into each.
    """

    title: str
    cells: Sequence[Sequence[int | None]]
    notes: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Grid:
    """A map of levels, each a name and a colour, over rows and columns."""

    id: str
    title: str
    caption: Caption
    rows: Sequence[str]
    columns: Sequence[str]
    levels: Sequence[tuple[str, str]]
    panels: tuple[GridPanel, ...]


Kind = Literal["text", "number", "count", "verdict", "record", "place"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: in the frame.
        title: as it is shown.
        kind: how its values are shown; a "record" is the anchor of a record, a link to its story; a "place"
            that of a block of the page.
    """

    name: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a pandas DataFrame.

    Attributes:
        id: its anchor.
        title: above it.
        columns: those that are shown, in their order.
        frame: the DataFrame.
        note: what a reader has to know about it.
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    frame: Any
    note: str = ""


@dataclass(frozen=True, eq=False)
class Explorer:
    """Any quantity of a table against any: a figure with choices on the page, one default chart elsewhere.

    Attributes:
        id: its anchor.
        title: above it.
        caption: below it.
        table: whose rows are drawn.
        quantities: columns for the axes.
        by: columns for colour and for filters.
        joined: rows that agree in these columns are one line.
        along: the column that orders the points of a line.
        x: the quantity that is chosen first.
        y: the other one.
        colour: the column of `by` that is chosen first.
        filters: column of `by` → the word that is chosen first.
    """

    id: str
    title: str
    caption: Caption
    table: Table
    quantities: tuple[Column, ...]
    by: tuple[Column, ...]
    joined: tuple[str, ...]
    along: str
    x: str
    y: str
    colour: str
    filters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Text:
    """Plain paragraphs.

    Attributes:
        text: their words.
        code: whether they are shown as typed.
    """

    text: str
    code: bool = False


Block = Text | Table | Chart | Grid | Explorer


@dataclass(frozen=True)
class Section:
    """A section: an anchor, a title, a sentence to begin with, and blocks."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """A whole report.

    Attributes:
        title: of the page.
        headline: what came out, in a sentence.
        good: whether all is as expected; None where nothing was judged.
        counts: verdicts in words, and how many there are.
        sections: in their order.
        damaged: what could not be read, in words.
        stories: anchor of a record → its whole story.
    """

    title: str
    headline: str
    good: bool | None
    counts: Sequence[tuple[str, int]]
    sections: Sequence[Section]
    damaged: Sequence[str] = ()
    stories: Mapping[str, str] = field(default_factory=dict[str, str])


def clip(text: str, longest: int = LONGEST_LABEL) -> str:
    """Text of at most `longest` characters on one line; what was cut off is marked."""
    line = " ".join(text[: 4 * longest].split())
    if len(line) <= longest and len(text) <= 4 * longest:
        return line
    return line[: longest - 1] + "…"


def shown(value: Any, kind: Kind = "text") -> str:
    """A cell as people read it. Missing: a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if kind == "count" and math.isfinite(value):
        return f"{value:,.0f}"
    if kind in ("number", "count"):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:.3g}"
    return str(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, where it is a mapping, as what is read from a file may be; else an empty one."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def finite(values: Sequence[float]) -> int:
    """How many of the values are finite."""
    return sum(1 for value in values if math.isfinite(value))


def slug(number: int, text: str) -> str:
    """A part of an identifier: different for different numbers, and readable."""
    return f"{number}-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in text.lower())[:40]


def tidy(text: Any) -> str:
    """Text that every file format takes, not longer than anybody reads."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return ""
    whole = words(text, 2 * LONGEST_TEXT) if not isinstance(text, str) else text
    if len(whole) <= LONGEST_TEXT and whole.isprintable():
        return whole
    kept = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in whole[:LONGEST_TEXT])
    cut = f" … ({len(whole):,} characters in all)" if len(whole) > LONGEST_TEXT else ""
    return kept + cut
