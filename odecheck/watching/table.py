"""A watched step as text: one line for each solve, then what is wrong in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from odecheck.judge import Verdict

from .row import Quantity, Row, State

EVENT = "event time"  # a column where a solve ends at an event
COLUMNS = (
    "called at",
    "field",
    "method",
    "rtol",
    "NFE → ←",
    "steps",
    "s → ←",
    "saved",
    "solution",
    EVENT,
    "dL/dy0",
    "dL/dθ",
    "dL/dt",
    "of promise",
    "verdict",
)
NAMES = ("solution", EVENT, "dL/dy0", "dL/dtheta", "dL/dt")
# more solves than this at one place are one line, the worst of them
LINES = 3


def table(rows: Sequence[Row]) -> str:
    """The step as a table of text with findings and notes below it."""
    if not rows:
        return "no ODE solve was seen in this step (torchdiffeq, torchdyn, torchode and odecheck.odeint are watched)"
    shown = [(row, n) for row, n in _grouped(rows)]
    columns = [c for c in COLUMNS if c != EVENT or any(EVENT in row.quantities for row in rows)]
    cells = [columns, *([_cells(row, n)[c] for c in columns] for row, n in shown)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines.append("errors are relative to the result's own scale (dL/dθ: each tensor's own), ± the truth's bar;")
    lines.append("of promise: root mean square error in units of what the tolerance promises, up to 10 holds")
    for row, _ in shown:
        if row.state is not State.JUDGED:
            lines.append(f"{row.where} {row.state}: {row.reason}")
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


def _cells(row: Row, n: int) -> dict[str, str]:
    """What stands in each column."""
    used = [q.used for q in row.quantities.values() if not math.isnan(q.used)]
    where = row.where if n == 1 else f"{row.where} (worst of {n})"
    steps = "" if row.steps is None else f"{row.steps}" + (f"+{row.rejected}" if row.rejected else "")
    texts = (
        where,
        row.field,
        f"{row.function} {row.method}" + (f" in {row.precision}" if "float16" in row.precision else ""),
        f"{row.rtol:.0e}" if row.adaptive else "fixed",
        f"{row.nfe[0]} → {row.nfe[1]}",
        steps,
        " → ".join("?" if math.isnan(s) else f"{s:.2g}" for s in row.seconds),
        _bytes(row.saved_bytes),
        *(_quantity(row.quantities.get(name)) for name in NAMES),
        f"{max(used):.2g}" if used else "-",
        _verdict(row),
    )
    return dict(zip(COLUMNS, texts, strict=True))


def _verdict(row: Row) -> str:
    if row.state is not State.JUDGED and not row.findings:
        return row.state
    return "no promise" if row.verdict is Verdict.NOT_APPLICABLE else row.verdict


def _quantity(q: Quantity | None) -> str:
    return "-" if q is None else f"{q.error:.1e} ± {q.bar:.0e}"


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n = round(n / 1000, 1) if n >= 10_000 else n / 1000  # pyright: ignore[reportAssignmentType]
    return f"{n:.3g} GB"


def _said(kind: str, texts: Sequence[tuple[str, str]]) -> list[str]:
    """Each text once, with the first place and how many solves it is about."""
    counts: dict[str, list[str]] = {}
    for where, text in texts:
        counts.setdefault(text, []).append(where)
    return [
        f"{kind}: {places[0]}{f' and {len(places) - 1} more' if len(places) > 1 else ''}: {text}"
        for text, places in counts.items()
    ]
