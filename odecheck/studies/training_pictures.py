"""The figures of a training run: losses against steps and time, and evaluations of a step."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.ledger.benchmark_claims import EQUAL_TIME
from odecheck.ledger.curves import ratios
from odecheck.ledger.training_claims import TUNING, best_rates, judge_rows
from odecheck.report.text import COLOURS

from .kept_trainings import Kept, geometric, who

# beside the colours, for who does not see them
DASHES = ("-", "--", ":", "-.")
# of a mean over those seeds that still run, where others have stopped
FAINT = 0.3


def pictures(run: Kept, folder: Path) -> None:
    """Loss against steps and CPU time; evaluations of a step against the epoch or, in one-step epochs, the step.

    Where the end time of the solve is trained: that, and the test accuracy, against steps, CPU time likewise.
    """
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    compared = [one for one in judge_rows(run.rows) if one.quantity == EQUAL_TIME]
    if compared:
        _ratios(run, folder, plt, dict.fromkeys((one.subject, one.rival) for one in compared))
    if has_end_time(run.rows):
        _end_times(run, folder, plt)
    kind = who(run.rows)
    steps = run.rows[(run.rows["split"] == "train") & (run.rows["seed"] < TUNING)]
    names = list(dict.fromkeys((r[0], r[1]) for r in steps[[kind, "learning_rate"]].to_numpy()))
    several = steps.groupby(kind)["learning_rate"].nunique().max() > 1
    single = steps.groupby("epoch")["step"].nunique().max() == 1
    loss, (by_step, by_time) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    nfe, both = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for place, (name, rate) in enumerate(names):
        mine = steps[(steps[kind] == name) & (steps["learning_rate"] == rate)]
        style = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": DASHES[place % len(DASHES)],
            "label": f"{name} {rate:g}" if several else str(name),
        }
        for part, faint in zip(means(mine), ({}, {"alpha": FAINT, "label": None}), strict=True):
            by_step.plot(part.index, part["loss"], linewidth=1.3, **{**style, **faint})
            by_time.plot(part["cpu_seconds"], part["loss"], linewidth=1.3, **{**style, **faint})
        for axis, column in zip(both, ("nfe_forward", "nfe_backward"), strict=True):
            at = (mine["step"] - 1) // 10 * 10 + 5 if single else mine["epoch"]
            per = mine.groupby(at)[column].mean()
            axis.plot(per.index, per, marker="o", markersize=3, linewidth=1.3, **style)
    by_step.set(xlabel="step", ylabel="training loss", yscale="log")
    by_time.set(xlabel="CPU seconds of training", yscale="log")
    for axis, title in zip(both, ("forward", "backward"), strict=True):
        axis.set(xlabel="step, mean over ten" if single else "epoch", title=title, ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
    both[0].set_ylabel("evaluations of a step")
    for figure, what in ((loss, "loss"), (nfe, "nfe")):
        figure.axes[0].legend(fontsize=8)
        mean = (
            "geometric mean over seeds; faint: over those that have not stopped"
            if what == "loss"
            else "mean over seeds"
        )
        figure.suptitle(f"{run.name}: {mean}")
        figure.savefig(folder / f"training-{run.name}-{what}.png", dpi=100)
        plt.close(figure)


def means(rows: Any) -> tuple[Any, Any]:
    """Mean loss and CPU seconds by step, while every seed runs, and afterwards over those that have not stopped.

    Args:
        rows: Of the training steps of one model or optimizer at one rate.
    """
    found = rows.groupby("step").agg({"loss": geometric, "cpu_seconds": "mean"})
    all_run = found.index <= rows.groupby("seed")["step"].max().min()
    return found[all_run], found[~all_run]


def _ratios(run: Kept, folder: Path, plt: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """The ratio of losses against CPU time, with an interval at each time: training left, held-out right."""
    kind = who(run.rows)
    best = best_rates(run.rows, kind)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, split in zip(axes, ("train", "test"), strict=True):
        for place, (subject, rival) in enumerate(pairs):
            points = ratios(best, subject, rival, split=split, kind=kind)
            at, colour = [p.seconds for p in points], COLOURS[place % len(COLOURS)]
            axis.plot(
                at, [p.ratio for p in points], color=colour, marker="o", markersize=3, label=f"{subject} / {rival}"
            )
            axis.fill_between(at, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.2)
        axis.axhline(1.0, color="black", linewidth=0.7)
        axis.set(xlabel="CPU seconds of training", yscale="log", title="training" if split == "train" else "held-out")
    axes[0].set_ylabel("ratio of losses")
    axes[0].legend(fontsize=8)
    figure.suptitle(f"{run.name}: below 1 the first one is ahead; bands: 95 % at each time by itself")
    figure.savefig(folder / f"training-{run.name}-ratio.png", dpi=100)
    plt.close(figure)


def has_end_time(rows: Any) -> bool:
    """Whether a run says at which time its solves end: tables of former versions have no such column."""
    return "end_time" in rows and bool(rows["end_time"].notna().any())


def _end_times(run: Kept, folder: Path, plt: Any) -> None:
    """T along training, each seed a line and the median a thick one; and the test accuracy against CPU time."""
    kind = who(run.rows)
    rows = run.rows[run.rows["seed"] < TUNING]
    figure, (ends, accuracies) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for place, (name, mine) in enumerate(rows.groupby(kind, sort=False)):
        style = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
        steps, tests = mine[mine["split"] == "train"], mine[mine["split"] == "test"]
        for _, one in steps.groupby("seed"):
            ends.plot(one["step"], one["end_time"], linewidth=0.5, alpha=0.5, **style)
        middle = steps.groupby("step")["end_time"].median()
        ends.plot(middle.index, middle, linewidth=1.8, label=str(name), **style)
        found = tests.groupby("step")[["cpu_seconds", "accuracy"]].median()
        accuracies.plot(found["cpu_seconds"], found["accuracy"], marker="o", markersize=3, **style)
    ends.set(xlabel="step", ylabel="end time T", ylim=(0, None))
    accuracies.set(xlabel="CPU seconds of training", ylabel="test accuracy")
    ends.legend(fontsize=8)
    figure.suptitle(f"{run.name}: each seed, and medians over seeds")
    figure.savefig(folder / f"training-{run.name}-end-time.png", dpi=100)
    plt.close(figure)
