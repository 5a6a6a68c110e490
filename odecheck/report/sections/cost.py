"""Work-precision diagrams: what an accuracy costs, any quantity against any."""

from __future__ import annotations

from odecheck.report.reader import Found
from odecheck.report.text import Caption, Column, Explorer, Section, Table, slug

PLACE = 60

IDENTITY = ("model", "problem", "library", "engine", "method", "device", "dtype")
QUANTITIES = (
    Column("achieved_error", "achieved error", "number"),
    Column("rtol", "tolerance asked for", "number"),
    Column("nfe_forward", "forward NFE", "count"),
    Column("nfe_backward", "backward NFE", "count"),
    Column("nfe", "NFE", "count"),
    Column("dense_evaluations", "dense evaluations", "count"),
    Column("accepted_forward", "accepted steps, forward", "count"),
    Column("rejected_forward", "rejected steps, forward", "count"),
    Column("accepted_backward", "accepted steps, backward", "count"),
    Column("rejected_backward", "rejected steps, backward", "count"),
    Column("cpu_seconds", "CPU seconds", "number"),
    Column("wall_seconds", "seconds", "number"),
    Column("saved_bytes", "bytes saved for the backward pass", "count"),
    Column("peak_bytes", "peak bytes", "count"),
)
WORDS = {"solution": "the solution", "gradient": "the gradient", "hvp": "a Hessian-vector product"}


def section(found: Found) -> Section | None:
    rows = found.tables.get("cost")
    if rows is None or rows.empty:
        return None
    rows = rows.copy()
    rows["nfe"] = rows[["nfe_forward", "nfe_backward"]].sum(axis=1, min_count=1)
    by = tuple(Column(n, n) for n in ("quantity", *IDENTITY, "run") if rows[n].nunique() > 1)
    names = tuple(Column(n, n) for n in ("quantity", *IDENTITY) if (rows[n] != "").any())
    measured = tuple(q for q in QUANTITIES if rows[q.name].notna().any())
    table = Table("cost-rows", "Every measurement", (*names, *measured), rows)
    costs = [q for q in ("nfe", "cpu_seconds", "peak_bytes", "saved_bytes") if any(m.name == q for m in measured)]
    explorers = tuple(
        Explorer(
            f"work-precision-{slug(number, quantity)}",
            f"Work and precision of {WORDS.get(quantity, quantity)}",
            _caption(quantity, int((rows["quantity"] == quantity).sum())),
            table,
            measured,
            by or names,
            ("run", "quantity", *IDENTITY),
            "rtol",
            costs[0] if costs else "rtol",
            "achieved_error",
            _colour([c.name for c in by]),
            {"quantity": quantity},
        )
        for number, quantity in enumerate(dict.fromkeys(rows["quantity"]), start=1)
    )
    lead = (
        "A point is one solve at one tolerance, a line one method of one engine from loose to tight. Lower left is "
        "better: less error for less work."
    )
    return Section("cost", "Work and precision", lead, (*explorers, table))


def _caption(quantity: str, n: int) -> Caption:
    return Caption(
        f"Achieved error of {WORDS.get(quantity, quantity)} against what it took, both on logarithmic axes. Choose "
        "other quantities, what the colour tells and which rows are drawn. A line that bends upwards on the right "
        "has reached round-off.",
        "error relative to the reference's value; NFE: evaluations of the field; seconds; bytes",
        f"{n:,} measurements",
        "odecheck cost, then odecheck report RUN",
    )


def _colour(by: list[str]) -> str:
    return next((name for name in ("method", "engine", "library", "model") if name in by), by[0] if by else "method")
