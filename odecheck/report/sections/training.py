"""Training curves, and what an epoch costs."""

from __future__ import annotations

from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Caption, Chart, Column, Panel, Section, Series, Table, clip, slug

PLACE = 70

IDENTITY = ("model", "optimizer", "learning_rate")
COLUMNS = (
    *(Column(name, name) for name in ("task", "model", "optimizer", "split")),
    Column("learning_rate", "learning rate", "number"),
    Column("seed", "seed", "count"),
    Column("parameters", "parameters", "count"),
    Column("step", "step", "count"),
    Column("epoch", "epoch", "number"),
    Column("loss", "loss", "number"),
    Column("accuracy", "accuracy", "number"),
    Column("nfe_forward", "forward NFE", "count"),
    Column("nfe_backward", "backward NFE", "count"),
    Column("cpu_seconds", "CPU seconds", "number"),
    Column("wall_seconds", "seconds", "number"),
    Column("peak_bytes", "peak bytes", "count"),
    Column("end_time", "end time", "number"),
    Column("overshoot", "overshoot", "number"),
)


def section(found: Found) -> Section | None:
    """Losses, evaluations and memory of trainings."""
    rows = found.tables.get("training")
    if rows is None or rows.empty:
        return None
    tasks = enumerate(dict.fromkeys(rows["task"]), start=1)
    blocks = [chart for n, task in tasks for chart in _of_task(slug(n, task), task, rows[rows["task"] == task])]
    lead = "Median over seeds, and the range from the lowest to the highest seed. Evaluation is not part of any time."
    table = Table("training-rows", "Every measurement", COLUMNS, rows)
    return Section("training", "Training", lead, (*blocks, table))


def _of_task(name: str, task: str, rows: Any) -> list[Chart]:
    charts: list[Any] = []
    number = f"{rows.groupby([*IDENTITY, 'seed'], dropna=False).ngroups} trainings, {len(rows):,} measurements"
    again = f"odecheck train {clip(task)}, then odecheck report RUN"
    panels = [
        _panel(rows[rows["split"] == split], x, y, split)
        for split in dict.fromkeys(rows["split"])
        for y in ("loss", "accuracy")
        for x in ("step", "cpu_seconds")
        if rows.loc[rows["split"] == split, y].notna().any() and rows[x].notna().any()
    ]
    if panels:
        see = "Lower is better for a loss, higher for an accuracy; compare at equal steps and at equal CPU time."
        units = "the task's own loss; accuracy as a fraction; seconds of CPU time"
        caption = Caption(see, units, number, again)
        charts.append(Chart(f"training-{name}", f"{task}: training curves", caption, tuple(panels)))
    counted = [c for c in ("nfe_forward", "nfe_backward") if rows[c].notna().any()]
    split = next(iter(dict.fromkeys(rows["split"])))
    panels = [_panel(rows[rows["split"] == split], _abscissa(rows), c, split) for c in counted]
    if panels:
        caption = Caption(
            "How many evaluations of the field a step takes as training goes on: a model whose field "
            "grows stiff shows here first.",
            "evaluations of the field",
            number,
            again,
        )
        charts.append(Chart(f"nfe-{name}", f"{task}: evaluations as training goes on", caption, tuple(panels)))
    if "end_time" in rows and rows["end_time"].notna().any():
        caption = Caption(
            "Where the solve ends, as training moves it: a shorter solve takes fewer evaluations. Compare with the "
            "accuracy above.",
            "the time of the model's ODE",
            number,
            again,
        )
        panels = tuple(_panel(rows[rows["split"] == split], x, "end_time", split) for x in ("step", "cpu_seconds"))
        charts.append(Chart(f"end-time-{name}", f"{task}: the end time as training goes on", caption, panels))
    return charts


def _abscissa(rows: Any) -> str:
    return "epoch" if rows["epoch"].notna().any() else "step"


TITLES = {
    "nfe_forward": "forward NFE",
    "nfe_backward": "backward NFE",
    "cpu_seconds": "CPU seconds",
    "end_time": "end time",
}


def _panel(rows: Any, x: str, y: str, split: str) -> Panel:
    """One line for each model and optimizer. Over time, seeds are joined step by step at their median time."""
    made: list[Any] = []
    for key, mine in rows.groupby(list(IDENTITY), dropna=False, sort=False):
        model, optimizer, rate = key
        name = ", ".join(str(p) for p in (model, optimizer, f"rate {rate:g}" if rate == rate else "") if p)
        groups = mine.dropna(subset=[y]).groupby("epoch" if x == "epoch" else "step")
        if not len(groups):
            continue
        at = groups[x].median()
        low, middle, high = groups[y].min(), groups[y].median(), groups[y].max()
        several = mine["seed"].nunique() > 1
        made.append(
            Series(
                clip(name),
                [*at],
                [*middle],
                marks=len(at) < 40,
                band=True,
                low=[*low] if several else None,
                high=[*high] if several else None,
            )
        )
    low, high = rows[y].min(), rows[y].max()
    title = TITLES.get(y, y)
    return Panel(
        f"{title}, {split}" if split else title,
        Axis(TITLES.get(x, x)),
        Axis(title, log=y == "loss" and bool(0 < 5 * low < high)),
        tuple(made),
    )
