"""What a run will ask and about how long it takes, in a line and as a table, before it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .common import number

if TYPE_CHECKING:
    from odecheck.runner.case import Unit


def line(units: Sequence[Unit], workers: int) -> str:
    """What will be asked and about how long that takes.

    Args:
        units: All that is to be done.
        workers: Processes.

    Returns:
        One line, and one more for each problem that is stiff, that no solve reaches the end of, or that is of a field
        in half precision.
    """
    from odecheck.runner.at_sight import TOO_MANY, given_in
    from odecheck.runner.estimate import of_units

    claims = {claim.id for unit in units for claim in unit.claims}
    problems, subjects = {unit.problem.name for unit in units}, {unit.subject.name for unit in units}
    cases, cost = sum(len(unit.claims) for unit in units), of_units(units)
    shared = f", {_seconds(cost.seconds / workers)} with {workers} processes" if workers > 1 else ""
    least = "at least" if cost.stiff or cost.left else "about"
    windows = {u.problem.name: (float(u.problem.ts[0]), float(u.problem.ts[-1])) for u in units}
    said = "".join(
        f"\n{name} is stiff: its fastest decay has {count:.0e} time constants in the window, and an explicit step is "
        "no longer than about three of them" + (", too short: solve_ivp's Radau is asked" if count > TOO_MANY else "")
        for name, count in cost.stiff.items()
    )
    said += "".join(_left(name, *windows[name], t) for name, t in cost.left.items())
    half = {u.problem.name: given for u in units if (given := given_in(u.problem)) not in ("", "float32")}
    said += "".join(
        f"\n{name} is judged by a float64 copy of its field, which was given in {given}: what that rounds away is "
        "judged by odecheck.watch in a training step"
        for name, given in half.items()
    )
    return (
        f"{number(len(claims), 'claim')} × {number(len(problems), 'problem')} × {number(len(subjects), 'subject')}: "
        f"{number(cases, 'case')}, {least} {_seconds(cost.seconds)} of a processor ({_seconds(cost.low)} to "
        f"{_seconds(cost.high)}){shared}{said}"
    )


def _left(name: str, first: float, last: float, t: float) -> str:
    from odecheck.runner.at_sight import MOST, ROUGH, SECONDS

    digits = max(0, 1 - math.floor(math.log10(abs(t - first) / 2)))  # two of what is between, wherever it begins
    place, half = (f"{round(x, digits):.12g}" for x in (t, first + (t - first) / 2))
    begin, end = f"{first:.12g}", f"{last:.12g}"
    return (
        f"\n{name}: an explicit solve (RK45, rtol={ROUGH:g}, at most {MOST:,} evaluations or {SECONDS:g} s) comes to "
        f"t = {place} of {begin} to {end}, and no further. A window that ends before, as ts = [{begin}, {half}] or "
        f"--times '[{begin}, {half}]', is judged sooner"
    )


def _seconds(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def table(units: Sequence[Unit], seconds: float | None = None) -> Any:
    """Each claim with its cases and what they cost: dearest first, or what tells most first, as a budget asks.

    Args:
        units: All that is to be done.
        seconds: Of a processor, that the budget leaves; None where there is no budget.

    Returns:
        A table of rich.
    """
    from rich.table import Table

    from odecheck.runner.estimate import each, most_telling_first

    cost: dict[str, list[float]] = {}
    asked: dict[str, int] = {}
    words: dict[str, str] = {}
    spent_so_far = 0.0
    for _, claim, spent in each(units if seconds is None else most_telling_first(units)):
        cost.setdefault(claim.id, []).append(spent)
        words[claim.id] = claim.text
        # one that has begun comes to its end
        asked[claim.id] = asked.get(claim.id, 0) + (seconds is None or spent_so_far < seconds)
        spent_so_far += spent
    made = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    made.add_column("claim", no_wrap=True, min_width=max(map(len, cost), default=0))
    made.add_column("cases", justify="right", min_width=5)
    if seconds is not None:
        made.add_column("asked", justify="right", min_width=5)
    made.add_column("CPU s", justify="right", min_width=6)
    made.add_column("states", no_wrap=True, overflow="ellipsis", ratio=1)  # it alone gives way
    rows = cost.items() if seconds is not None else sorted(cost.items(), key=lambda item: -sum(item[1]))
    for id, each_spent in rows:
        within = [] if seconds is None else [str(asked[id])]
        made.add_row(id, str(len(each_spent)), *within, f"{sum(each_spent):.1f}", words[id])
    return made
