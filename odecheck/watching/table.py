"""A watched step as text: one line for each solve, then what is wrong in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from odecheck.judge import Verdict

from .row import Quantity, Row, State

EVENT = "event time"
# columns that are there where a solve has them: one that ends at an event, one whose times are differentiated
SELDOM = (EVENT, "dL/dt")
COLUMNS = (
    "called at",
    "verdict",
    "of promise",
    "solution",
    EVENT,
    "dL/dy0",
    "dL/dθ",
    "dL/dt",
    # what was solved, and what it cost
    "field",
    "method",
    "rtol",
    "NFE → ←",
    "steps",
    "s → ←",
    "saved",
)
COST = "field"
# characters of a line: what does not fit begins again below, with the place of the call
WIDTH = 100
# of a cell; of longer names the beginning is left out, which is the folder or the package
LONGEST = 36
NAMES = ("solution", EVENT, "dL/dy0", "dL/dtheta", "dL/dt")
# more solves than this at one place are one line, the worst of them
LINES = 3


def table(rows: Sequence[Row]) -> str:
    """The step as a table of text, of at most WIDTH columns, with findings and notes below it."""
    if not rows:
        return "no ODE solve was seen in this step (torchdiffeq, torchdyn, torchode and odecheck.odeint are watched)"
    shown = [(row, n) for row, n in _grouped(rows)]
    columns = [c for c in COLUMNS if c not in SELDOM or any(c in row.quantities for row in rows)]
    cells = [columns, *([_cells(row)[c] for c in columns] for row, _ in shown)]
    lines = _in_bands([[_clipped(text) for text in line] for line in cells])
    lines.append("errors are relative to the result's own scale (dL/dθ: each tensor's own), ± the truth's bar;")
    lines.append("of promise: root mean square error in units of what the tolerance promises, up to 10 holds")
    lines += [f"{_clipped(row.where)}: the worst of {n} solves is shown" for row, n in shown if n > 1]
    for row, _ in shown:
        if row.state is not State.JUDGED:
            lines += _wrapped(f"{_clipped(row.where)} {row.state}: {row.reason}")
        elif row.not_asked:
            lines += _wrapped(f"{_clipped(row.where)} not asked: {', '.join(row.not_asked)}; the budget was used up")
    lines += _said("finding", [(row.where, f.text) for row in rows for f in row.findings])
    lines += _said("note", [(row.where, f.text) for row in rows for f in row.notes])
    return "\n".join(lines)


def scalars(rows: Sequence[Row], prefix: str) -> dict[str, float]:
    """The largest relative error of each kind, evaluations, findings: numbers for a training log."""
    out = {
        f"{prefix}solves": float(len(rows)),
        f"{prefix}findings": float(sum(len(row.findings) for row in rows)),
        f"{prefix}nfe_forward": float(sum(row.nfe[0] for row in rows)),
        f"{prefix}nfe_backward": float(sum(row.nfe[1] for row in rows)),
    }
    for name in NAMES:
        errors = [row.quantities[name].error for row in rows if name in row.quantities]
        if errors:
            out[f"{prefix}error_{name.replace('/', '_').replace(' ', '_')}"] = max(errors)
    return out


def _grouped(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Rows, and of many at one place the worst with their number."""
    places: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        places.setdefault((row.where, row.field, row.method), []).append(row)
    out: list[tuple[Row, int]] = []
    for same in places.values():
        if len(same) <= LINES:
            out += [(row, 1) for row in same]
        else:
            out.append((max(same, key=_badness), len(same)))
    return out


def _badness(row: Row) -> tuple[int, float]:
    return len(row.findings), max([q.error for q in row.quantities.values()] or [0.0])


def _cells(row: Row) -> dict[str, str]:
    """What stands in each column."""
    used = [q.used for q in row.quantities.values() if not math.isnan(q.used)]
    steps = "" if row.steps is None else f"{row.steps}" + (f"+{row.rejected}" if row.rejected else "")
    texts = (
        row.where,
        _verdict(row),
        f"{max(used):.2g}" if used else "-",
        *(_quantity(row.quantities.get(name)) for name in NAMES),
        row.field,
        f"{row.function} {row.method}" + (f" in {row.precision}" if "float16" in row.precision else ""),
        f"{row.rtol:.0e}" if row.adaptive else "fixed",
        f"{row.nfe[0]} → {row.nfe[1]}",
        steps,
        " → ".join("?" if math.isnan(s) else f"{s:.2g}" for s in row.seconds),
        "?" if row.saved_bytes is None else _bytes(row.saved_bytes),
    )
    return dict(zip(COLUMNS, texts, strict=True))


def _verdict(row: Row) -> str:
    if row.state is not State.JUDGED and not row.findings:
        return row.state
    return "no promise" if row.verdict is Verdict.NOT_APPLICABLE else row.verdict


def _quantity(q: Quantity | None) -> str:
    return "-" if q is None else f"{q.error:.1e} ± {q.bar:.0e}"


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n = round(n / 1000, 1) if n >= 10_000 else n / 1000
    return f"{n:.3g} GB"


def _said(kind: str, texts: Sequence[tuple[str, str]]) -> list[str]:
    """Each text once, with the first place and how many solves it is about."""
    counts: dict[str, list[str]] = {}
    for where, text in texts:
        counts.setdefault(text, []).append(where)
    lines: list[str] = []
    for text, places in counts.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        lines += _wrapped(f"{kind}: {_clipped(places[0])}{more}: {text}")
    return lines


def _in_bands(cells: Sequence[Sequence[str]]) -> list[str]:
    """How far off a solve is, and below it what it cost; each part again in parts where it does not fit."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    bands: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if cells[0][i] == COST or sum(widths[j] + 2 for j in bands[-1]) + widths[i] > WIDTH:
            bands.append([0])
        bands[-1].append(i)
    lines: list[str] = []
    for band in bands:
        rows = ["  ".join(line[i].ljust(widths[i]) for i in band).rstrip() for line in cells]
        rows.insert(1, "  ".join("-" * widths[i] for i in band))
        lines += [*rows, ""]
    return lines


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"


def _wrapped(text: str) -> list[str]:
    """Lines of at most WIDTH characters, cut between words alone; what follows the first is indented."""
    how: dict[str, Any] = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return [line for part in text.splitlines() or [""] for line in wrap(part, WIDTH, **how) or [""]]
