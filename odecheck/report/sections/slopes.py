"""Orders in the step and slopes of the error over the tolerance, as the claims observed them."""

from __future__ import annotations

from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Caption, Chart, Panel, Section, Series, clip

PLACE = 40

# claims whose observed value is a slope: what it is the slope of
SLOPES = {
    "SOL-3": "order in the step at step ends",
    "SOL-4": "order in the step between step ends",
    "SOL-5": "power of the tolerance that the error follows",
}
# more than that many names or error bars are no figure any more
MOST_NAMES, MOST_SLOPES = 7, 600


def section(found: Found) -> Section | None:
    if not found.runs:
        return None
    records = found.records
    judged = records[records["claim"].isin(list(SLOPES)) & records["verdict"].isin(["holds", "refuted"])]
    panels = tuple(_panel(claim, judged[judged["claim"] == claim]) for claim in SLOPES if claim in set(judged["claim"]))
    if not panels:
        return None
    caption = Caption(
        "Each observed slope with its bar, and the stated one. A bar that does not reach the stated value is a "
        "refutation. Slopes above what is stated are no defect and count as the stated one. Where there are too many, "
        f"the {MOST_SLOPES:,} lowest of a panel are drawn, and problems beyond the first {MOST_NAMES} share a look.",
        "log error over log step, and log error over log tolerance",
        f"{len(judged):,} slopes",
        "odecheck verify --claim SOL-3 --claim SOL-4 --claim SOL-5, then odecheck report RUN",
    )
    chart = Chart("slopes", "Orders, and error over tolerance", caption, panels)
    return Section("slopes", "Orders and slopes", "Does an error fall as fast as the solver promises?", (chart,))


def _panel(claim: str, judged: Any) -> Panel:
    lowest = judged.assign(above=judged["observed"] - judged["expected"]).nsmallest(MOST_SLOPES, "above")
    lowest = lowest.sort_index()
    names = [*dict.fromkeys(lowest["problem"])]
    looks = names if len(names) <= MOST_NAMES + 1 else [*names[:MOST_NAMES], f"{len(names) - MOST_NAMES:,} others"]
    look = lowest["problem"].map({name: looks[min(n, len(looks) - 1)] for n, name in enumerate(names)})
    made = []
    for name, mine in lowest.groupby(look, sort=False):
        low, high = mine["observed"] - mine["bar"], mine["observed"] + mine["bar"]
        x, problems = [clip(s) for s in mine["subject"]], [clip(s) for s in mine["problem"]]
        made.append(
            Series(clip(str(name)), x, [*mine["observed"]], line=False, low=[*low], high=[*high], hover=problems)
        )
    stated = judged.drop_duplicates("subject")
    x = [clip(s) for s in stated["subject"]]
    made.append(Series("stated", x, [*stated["expected"]], line=False))
    return Panel(f"{claim}: {SLOPES[claim]}", Axis("subject"), Axis("slope"), tuple(made), beside=True)
