"""Two runs beside each other: which verdicts changed, what changed in cost, and how sure that is.

A count of evaluations is exact: any difference is a change. Seconds are noise: cases of both runs are paired, a sign
test on the log of their ratios gives the p-value (exact, without an assumption about the noise), order statistics the
95 % interval of the median ratio, and Holm's correction holds over all rows of a table.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odecheck.errors import BadInput

from .reader import Found, read_all
from .sections.cost import IDENTITY
from .sections.provenance import command
from .stories import stories
from .text import Axis, Caption, Chart, Column, Panel, Report, Section, Series, Table, clip, tidy

LEVEL = 0.05
EXACT = ("nfe", "nfe_forward", "nfe_backward", "saved_bytes")  # the same in every run of the same program
CASE = ["claim", "subject", "problem"]
MEASURE = [*IDENTITY, "quantity", "rtol"]
CHANGED = (
    Column("before", "before", "verdict"),
    Column("after", "after", "verdict"),
    Column("claim", "claim"),
    Column("problem", "problem"),
    Column("subject", "subject"),
    Column("observed_before", "observed before", "number"),
    Column("observed_after", "observed after", "number"),
    Column("moved", "moved / both bars", "number"),
    Column("weight", "how sure"),
    Column("record_before", "story before", "record"),
    Column("record_after", "story after", "record"),
)
COSTS = (
    Column("what", "what"),
    Column("quantity", "quantity"),
    Column("pairs", "pairs", "count"),
    Column("changed", "changed", "count"),
    Column("ratio", "median after / before", "number"),
    Column("low", "95 % from", "number"),
    Column("high", "to", "number"),
    Column("p", "p (Holm)", "number"),
    Column("weight", "significant"),
)


def build(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> Report:
    """The comparison. Raises BadInput where a folder holds nothing, or the two have nothing in common."""
    a, b = read_all([before]), read_all([after])
    both = read_all([before, after])
    sections = [_made(both), *_verdicts(a, b), *_costs(a, b)]
    if len(sections) == 1:
        raise BadInput(
            f"{before} and {after} have no record and no measurement in common",
            "runs of other subjects, problems or claims",
            "odecheck report --compare with two runs of the same command",
        )
    words, good = _headline(a, b)
    names = [*both.facts, "", ""]
    told = {
        str(anchor)
        for section in sections
        for block in section.blocks
        if isinstance(block, Table)
        for column in block.columns
        if column.kind == "record"
        for anchor in block.frame[column.name]
    }
    return Report(
        f"odecheck: {clip(names[0])} → {clip(names[1])}",
        words,
        good,
        (),
        [*sections[1:], sections[0]],
        [*both.damaged],
        stories(both, told),
    )


def _pairs(a: Found, b: Found) -> Any:
    """The records of both runs side by side: the columns of a record with _before and _after."""
    left, right = (found.records.drop_duplicates(CASE) for found in (a, b))
    right = right.assign(record=[r.replace("record-0-", f"record-{len(a.runs)}-", 1) for r in right["record"]])
    return left.merge(right, on=CASE, suffixes=("_before", "_after"), how="outer", indicator=True)


def _headline(a: Found, b: Found) -> tuple[str, bool | None]:
    if not (a.runs and b.runs):
        return "A comparison of measurements.", None
    pairs = _pairs(a, b)
    both = pairs[pairs["_merge"] == "both"]
    changed = both[both["verdict_before"] != both["verdict_after"]]
    worse = changed[(changed["ok_before"].astype(bool)) & ~changed["ok_after"].astype(bool)]
    words = f"{len(changed):,} of {len(both):,} verdicts changed, {len(worse):,} of them for the worse."
    gone, new = int((pairs["_merge"] == "left_only").sum()), int((pairs["_merge"] == "right_only").sum())
    return words + (f" {gone:,} records are gone, {new:,} are new." if gone or new else ""), len(worse) == 0


def _verdicts(a: Found, b: Found) -> list[Section]:
    if not (a.runs and b.runs):
        return []
    pairs = _pairs(a, b)
    both = pairs[pairs["_merge"] == "both"]
    if both.empty:
        return []
    changed = both[both["verdict_before"] != both["verdict_after"]].copy()
    changed = changed.rename(columns={"verdict_before": "before", "verdict_after": "after"})
    bars = changed["bar_before"] + changed["bar_after"]
    with np.errstate(all="ignore"):
        changed["moved"] = (changed["observed_before"] - changed["observed_after"]).abs() / bars
    changed["weight"] = [_weight(m) for m in changed["moved"]]
    lead = (
        "Moved: how far the observed value went, in units of both bars together. Above 1 the subject computes "
        "something else; below, the value is the same within its bars and the verdict turned at the edge of one."
    )
    table = Table("changed", "Changed verdicts", CHANGED, changed)
    return [
        Section(
            "verdicts", "Verdicts that changed", lead if len(changed) else "None.", (table,) if len(changed) else ()
        )
    ]


def _weight(moved: float) -> str:
    if math.isnan(moved):
        return "not comparable: one of them has no number"
    return "another value" if moved > 1 else "the same within the bars"


def _costs(a: Found, b: Found) -> list[Section]:
    rows: list[dict[str, Any]] = []
    if a.runs and b.runs:
        pairs = _pairs(a, b)
        both = pairs[pairs["_merge"] == "both"]
        for quantity in ("nfe", "seconds"):
            for claim, mine in both.groupby("claim", sort=False):
                rows += _row(str(claim), quantity, mine[f"{quantity}_before"], mine[f"{quantity}_after"])
    if "cost" in a.tables and "cost" in b.tables:
        keys = [frame.drop_duplicates(MEASURE) for frame in (a.tables["cost"], b.tables["cost"])]
        both = keys[0].merge(keys[1], on=MEASURE, suffixes=("_before", "_after"))
        for quantity in ("nfe_forward", "nfe_backward", "achieved_error", "saved_bytes", "peak_bytes", "cpu_seconds"):
            for group, mine in both.groupby(["library", "engine", "method", "quantity"], sort=False):
                name = ", ".join(str(part) for part in group if part)
                rows += _row(name, quantity, mine[f"{quantity}_before"], mine[f"{quantity}_after"])
    if not rows:
        return []
    import pandas as pd

    table: Any = pd.DataFrame(rows)
    table["p"] = holm(table["p"].to_numpy())
    columns = table["quantity"], table["changed"], table["p"]
    table["weight"] = [_significant(*row) for row in zip(*columns, strict=True)]
    table = table.sort_values("changed", key=lambda n: n == 0, kind="stable")
    lead = (
        "Pairs: cases of both runs. The sign test of the ratios is exact; Holm's correction is over all of this table. "
        "Counts do not vary by themselves and need no test: where they changed, the program did. Seconds "
        "of two runs were not measured in turns: another load of the machine looks like a change of the program."
    )
    changed = table[(table["changed"] > 0)]
    return [Section("cost", "Cost", lead, (*_chart(changed), Table("costs", "After over before", COSTS, table)))]


def _significant(quantity: str, changed: float, p: float) -> str:
    if not changed:
        return "unchanged"
    if quantity in EXACT:
        return "exact: changed"
    return "too few pairs" if math.isnan(p) else "yes" if p < LEVEL else "no"


def _row(what: str, quantity: str, before: Any, after: Any) -> list[dict[str, Any]]:
    x, y = (np.asarray(values, dtype=float) for values in (before, after))
    good = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    if not good.any():
        return []
    logs = np.log(y[good] / x[good])
    low, high = interval(logs)
    return [
        {
            "what": clip(what),
            "quantity": quantity,
            "pairs": float(good.sum()),
            "changed": float((logs != 0).sum()),
            "ratio": float(np.exp(np.median(logs))),
            "low": math.exp(low),
            "high": math.exp(high),
            "p": math.nan if quantity in EXACT else sign_test(logs),
        }
    ]


def sign_test(logs: Sequence[float] | Any) -> float:
    """p of "as many grew as shrank", both sides; pairs without a change say nothing. NaN: none changed, or so few
    that no outcome could be significant."""
    from scipy.stats import binomtest

    up, down = int(np.sum(np.asarray(logs) > 0)), int(np.sum(np.asarray(logs) < 0))
    if 2.0 ** (1 - up - down) > LEVEL:
        return math.nan
    return float(binomtest(up, up + down).pvalue)


def interval(values: Sequence[float] | Any) -> tuple[float, float]:
    """A 95 % interval of the median from order statistics; NaN where there are too few values for one.

    The jth smallest and jth largest of n values enclose the median but for 2 · P(Binomial(n, ½) < j).
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    j = int(binom.ppf(LEVEL / 2, n, 0.5))
    if j < 1:
        return math.nan, math.nan
    return float(ordered[j - 1]), float(ordered[n - j])


def holm(p: Sequence[float] | Any) -> list[float]:
    """p-values corrected for being many, by Holm's step-down; NaN stay NaN and are not counted."""
    values = np.asarray(p, dtype=float)
    order = [i for i in np.argsort(values) if not math.isnan(values[i])]
    made, largest = [math.nan] * len(values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, float(values[i]) * (len(order) - rank)))
        made[i] = largest
    return made


def _chart(rows: Any) -> tuple[Chart, ...]:
    if rows.empty:
        return ()
    panels = []
    for quantity, mine in rows.groupby("quantity", sort=False):
        low, high = mine["low"].fillna(mine["ratio"]), mine["high"].fillna(mine["ratio"])
        series = Series("after / before", [*mine["what"]], [*mine["ratio"]], line=False, low=[*low], high=[*high])
        guide = ("y", 1.0, "as before")
        panels.append(Panel(str(quantity), Axis(""), Axis("after / before", log=True), (series,), (guide,)))
    caption = Caption(
        "Median ratio of every row that changed at all, with its 95 % interval where there are pairs enough. Below 1 "
        "is cheaper than before.",
        "ratio",
        f"{len(rows)} rows, {int(rows['pairs'].sum()):,} pairs",
        "odecheck report --compare BEFORE AFTER",
    )
    return (Chart("ratios", "What became cheaper and what dearer", caption, tuple(panels)),)


def _made(both: Found) -> Section:
    """What differs in how the two were made; what is alike is left out."""
    import pandas as pd

    facts = list(both.facts.items())[:2]
    flat = [_flat(mine) for _, mine in facts]
    names = list(dict.fromkeys(key for mine in flat for key in mine))
    rows = (
        [
            {"what": name, "before": flat[0].get(name, ""), "after": flat[-1].get(name, "")}
            for name in names
            if flat[0].get(name) != flat[-1].get(name)
        ]
        if len(flat) == 2
        else []
    )
    columns = Column("what", "what"), Column("before", "before"), Column("after", "after")
    table = Table("made", "What differs", columns, pd.DataFrame(rows, columns=[c.name for c in columns]))
    alike = "" if rows else "Versions, machine and commit are the same, or not known."
    return Section("made", "How the two were made", alike, (table,) if rows else ())


def _flat(facts: Mapping[str, Any]) -> dict[str, str]:
    versions = facts.get("versions")
    made = {k: tidy(v) for k, v in versions.items()} if isinstance(versions, Mapping) else {}
    rest = {k: tidy(facts.get(k)) for k in ("device", "platform", "seed", "commit", "started", "finished")}
    return {**made, **rest, "command": command(facts)}
