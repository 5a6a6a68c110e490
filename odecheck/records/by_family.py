"""The table of a run: claims by family, what each is about, its verdicts, and what it could have seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from odecheck.claim import reading_order
from odecheck.foreign import for_terminal, one_line

from .outcomes import ClaimRow, Outcome, by_claim, columns_of

if TYPE_CHECKING:
    from odecheck.claim import Claim
    from odecheck.record import Record

# a table of so many characters has room for evaluations of the field
WIDE = 100
# with less room for titles headings are as narrow as their words
GOOD_TITLE = 45
# with even less all counts of a claim stand in one column
LEAST_TITLE = 24


def table(records: Sequence[Record], claims: Mapping[str, Claim] | None = None, *, width: int = 120) -> Any:
    """A rich table of claims by family: what each is about, verdicts, what each could have seen.

    Args:
        records: all of a run.
        claims: claims by id, for their titles and those of their families.
        width: characters; with enough of them evaluations of the field are shown as well.

    Returns:
        The table and what explains it; None where no record is of a case that was asked.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from odecheck.record import is_refused

    rows = sorted(by_claim([r for r in records if not is_refused(r)]), key=lambda row: reading_order(row.claim))
    judged = [row for row in rows if set(row.counts) != {"not applicable"}]
    if not judged:
        return None
    counts = [c for c in columns_of(records) if c[1] != "not applicable" and any(c[1] in row.counts for row in judged)]
    wide = width >= WIDE
    ids = max(len(one_line(row.claim)) for row in judged) + 2
    widths = {title: len(title) for title, _, _ in counts} | {"would have seen": len("would have seen")}
    nfe = max(len(f"{row.nfe:,}") for row in judged) + 2 if wide else 0
    if _left(width, ids + nfe, widths) < GOOD_TITLE:  # the words of a heading below each other
        widths = {title: max(7, *map(len, title.split())) for title in widths}
    together = _left(width, ids + nfe, widths) < LEAST_TITLE
    if together:
        widths = {"verdicts": len("1 inconclusive"), "would have seen": 7}
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("claim", no_wrap=True, min_width=ids)
    made.add_column("", no_wrap=True, overflow="ellipsis", max_width=max(1, _left(width, ids + nfe, widths)))
    for title, characters in widths.items():
        made.add_column(title, justify="left" if title == "verdicts" else "right", width=characters)
    if wide:
        made.add_column("NFE", justify="right", no_wrap=True)
    for cells in _lines(judged, claims or {}, counts, wide=wide, together=together):
        made.add_row(*(Text.assemble(*cell) for cell in cells))
    return Group(made, Text(), *(Text(line) for line in _explained(counts, rows, judged, wide)))


def _left(width: int, taken: int, widths: Mapping[str, int]) -> int:
    """Characters that are left for titles, two of them between columns."""
    return width - taken - 2 - sum(2 + characters for characters in widths.values())


Cell = list[tuple[str, str]]


def _lines(
    rows: Sequence[ClaimRow],
    claims: Mapping[str, Claim],
    counts: Sequence[tuple[str, Outcome, str]],
    *,
    wide: bool,
    together: bool,
) -> Iterator[list[Cell]]:
    """(text, style) of each part of each cell: a line for each claim, and one above those of a family."""
    family = ""
    for row in rows:
        claim = claims.get(row.claim)
        if (mine := row.claim.partition("-")[0]) != family:
            family = mine
            yield [[(one_line(family), "bold")], [(one_line(claim.family.title) if claim else "", "bold")]]
        style = "bold red" if row.failed else ""
        seen = "" if math.isnan(row.resolved) else f"{row.resolved:.1e}" if row.resolved else "any"
        told: list[Cell] = [[(str(row.counts.get(kind, "")), colour)] for _, kind, colour in counts]
        if together:
            there = [(f"{row.counts[kind]} {title}", colour) for title, kind, colour in counts if kind in row.counts]
            told = [[part for i, one in enumerate(there) for part in ([("\n", ""), one] if i else [one])]]
        yield [
            [(f"  {one_line(row.claim)}", style)],
            [(one_line(claim.title) if claim else "", style)],
            *told,
            [(seen, "")],
            *([[(f"{row.nfe:,}", "")]] if wide else []),
        ]


def _explained(
    columns: Sequence[tuple[str, Outcome, str]], rows: Sequence[ClaimRow], judged: Sequence[ClaimRow], wide: bool
) -> list[str]:
    """What the columns mean, and what has no line."""
    told = [
        "would have seen: the smallest relative defect that would have been refuted for certain; a smaller one may hide"
    ]
    if any(kind == "refuted as stated" for _, kind, _ in columns):
        told.append("false as read: false when it is read literally, and off by just what is predicted")
    if wide:
        told.append(
            "NFE: evaluations of the field, of each claim by itself; claims share solves, so the run made fewer"
        )
    told += [_looked_at(rows), _no_case(rows, judged)]
    return [for_terminal(line) for line in told if line]


def _looked_at(rows: Sequence[ClaimRow]) -> str:
    """One line: how narrow a feature was certainly looked at, and for which claims none was."""
    known = [row for row in rows if not math.isnan(row.looked_at)]
    finite = [row.looked_at for row in known if math.isfinite(row.looked_at)]
    blind = [row.claim for row in known if math.isinf(row.looked_at)]
    seen = f"Looked at: every feature wider than {max(finite):.1e} in time." if finite else ""
    return f"{seen}{' In between nothing: ' + ', '.join(blind) + '.' if blind else ''}".strip()


def _no_case(rows: Sequence[ClaimRow], judged: Sequence[ClaimRow]) -> str:
    """One line: what does not apply or is not supported; a family without any case is one word."""
    of = sum(sum(row.counts.values()) for row in rows)
    left_out = sum(row.counts.get("not applicable", 0) for row in rows)
    families: dict[str, list[str]] = {}
    for id in (row.claim for row in rows if row not in judged):
        families.setdefault(id.partition("-")[0], []).append(id)
    others = {row.claim.partition("-")[0] for row in judged}
    words = [
        f"{name} ({len(ids)} claims)" if len(ids) > 3 and name not in others else ", ".join(ids)
        for name, ids in families.items()
    ]
    told = f"Not applicable or not supported: {left_out:,} of {of:,} cases." if left_out else ""
    return told + (f" No case for: {', '.join(words)}." if words else "")
