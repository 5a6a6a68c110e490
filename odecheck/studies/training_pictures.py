"""The figures of a training run: losses against steps and time, and evaluations of a step."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.ledger.training_claims import TUNING
from odecheck.report.text import COLOURS

from .kept_trainings import Kept, geometric, who

# beside the colours, for who does not see them
DASHES = ("-", "--", ":", "-.")


def pictures(run: Kept, folder: Path) -> None:
    """Loss against steps and CPU time; evaluations of a step against the epoch or, in one-step epochs, the step."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
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
        mean = mine.groupby("step").agg({"loss": geometric, "cpu_seconds": "mean"})
        by_step.plot(mean.index, mean["loss"], linewidth=1.3, **style)
        by_time.plot(mean["cpu_seconds"], mean["loss"], linewidth=1.3, **style)
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
        figure.suptitle(f"{run.name}: geometric mean over seeds" if what == "loss" else f"{run.name}: mean over seeds")
        figure.savefig(folder / f"training-{run.name}-{what}.png", dpi=100)
        plt.close(figure)
