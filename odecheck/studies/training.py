"""The papers' training comparisons: what came out of the rows that were kept, with figures and verdicts.

`python -m odecheck.studies.training [FOLDER]` makes FOLDER/training.md and its figures again from the tables in
FOLDER/training/ (by default reports/), and writes the verdicts into FOLDER/ledger.md. The tables are runs of
`odecheck train`, whose commands the report names; `--keep=RUN` copies the table and the facts of a finished run there.

Losses at the same step, or at the same time, are geometric means over the seeds. An interval is that of the ratio of
geometric means over paired seeds: Student's t on the log ratios, corrected for the number of comparisons of a claim.
CPU time is that of training alone, without evaluations, of one thread on a machine that did other work as well.
Seeds of 100 and more chose the learning rates and judge nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..benchmark_claims import CLAIMS, Comparison, judge_rows, verdict
from ..tasks.rows import last

FOLDER = "training"
# colours of figures, in the order of the tables
COLOURS = ("#4269d0", "#efb118", "#3ca951", "#ff725c", "#a463f2", "#6cc5b0")


def tables(folder: Path) -> list[tuple[dict[str, Any], Any]]:
    """The kept runs: facts and rows, by name."""
    import pandas as pd

    return [
        (json.loads(path.with_suffix(".json").read_text()), pd.read_parquet(path))
        for path in sorted((folder / FOLDER).glob("*.parquet"))
    ]


def keep(run: Path, folder: Path) -> None:
    """Copy the table and the facts of a run into the reports."""
    import pandas as pd

    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    rows = pd.read_parquet(run / "training.parquet")
    rows.to_parquet(target / f"{run.name}.parquet", index=False, compression="zstd")
    facts = json.loads((run / "run.json").read_text())
    facts = {k: v for k, v in facts.items() if k != "trials"} | {"command": _shareable(facts["command"])}
    (target / f"{run.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def who(rows: Any) -> str:
    """What the trainings of a table differ in: models, or optimizers."""
    return "model" if rows["model"].nunique() > 1 else "optimizer"


def to_markdown(kept: Sequence[tuple[dict[str, Any], Any]]) -> str:
    lines = ["# Training: the papers' comparisons", "", EXPLANATION, "", "## Verdicts", ""]
    lines += ["| claim | task | verdict | comparisons |", "|---|---|---|---|"]
    found = [one for _, rows in kept for one in judge_rows(rows)]
    for claim in CLAIMS:
        for task in dict.fromkeys(one.task for one in found if one.claim == claim.id):
            mine = [one for one in found if one.claim == claim.id and one.task == task]
            lines.append(f"| {claim.id} | {task} | **{verdict(mine)}** | {counted(mine)} |")
    lines.append("")
    for facts, rows in kept:
        lines += _section(facts, rows)
    return "\n".join(lines) + "\n"


def counted(found: Sequence[Comparison]) -> str:
    """How many comparisons have which verdict."""
    seen = [str(one.verdict) for one in found]
    return ", ".join(f"{seen.count(name)} {name}" for name in dict.fromkeys(seen))


def _section(facts: dict[str, Any], rows: Any) -> list[str]:
    task, kind, ends = rows["task"].iloc[0], who(rows), last(rows)
    seeds = sorted(set(rows["seed"]))
    lines = [
        f"## {task}",
        "",
        f"`{' '.join(_shareable(facts['command']))}`",
        "",
        f"Seeds {', '.join(map(str, seeds))}; {facts['platform']}, torch {facts['versions']['torch']}, "
        f"{facts.get('threads', 1)} thread; setting {json.dumps(facts['cases']['setting'])}.",
        "",
        f"![{task}: loss](training-{task}-loss.png)",
        "",
        f"![{task}: evaluations](training-{task}-nfe.png)",
        "",
        f"| {kind} | rate | n | parameters | loss | test loss | test accuracy | forward NFE | backward NFE | accepted "
        "| rejected | CPU s | peak kB | stopped |",
        "|---" * 14 + "|",
    ]
    for (name, rate), mine in ends.groupby([kind, "learning_rate"], sort=False):
        peak = rows[(rows[kind] == name) & (rows["learning_rate"] == rate)]["peak_bytes"].max()
        m = mine.mean(numeric_only=True)
        cells = (
            name, f"{rate:g}", len(mine), f"{m.parameters:.0f}", f"{geometric(mine['loss']):.3g}",
            f"{geometric(mine['test_loss']):.3g}", f"{m.test_accuracy:.3f}", f"{m.nfe_forward:.1f}",
            f"{m.nfe_backward:.1f}", f"{m.accepted_forward + m.accepted_backward:.1f}",
            f"{m.rejected_forward + m.rejected_backward:.1f}", f"{m.cpu_seconds:.1f}", f"{peak / 1e3:.0f}",
            int((mine["message"] != "").sum()),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "Losses: geometric means over the seeds at the last step; evaluations and steps: means over all steps.",
        "",
    ]
    found = judge_rows(rows)
    if found:
        lines += [
            "| claim | quantity | | against | n | ratio | interval | verdict | |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for o in found:
            between = f"{o.low:.3g} … {o.high:.3g}"
            cells = o.claim, o.quantity, o.subject, o.rival, o.n, f"{o.ratio:.3g}", between, o.verdict, _noted(o)
            lines.append(f"| {' | '.join(map(str, cells))} |")
        lines.append("")
    return lines


def _shareable(command: Sequence[str]) -> list[str]:
    """The command without the folder that it wrote to."""
    return [part for before, part in pairwise(["", *command]) if part != "--run" and before != "--run"]


def _noted(one: Comparison) -> str:
    lost = f"stopped: {one.lost} against {one.rival_lost}" if one.lost or one.rival_lost else ""
    return "; ".join(part for part in (lost, one.note) if part)


def geometric(values: Any) -> float:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(np.exp(np.log(np.maximum(finite, 1e-12)).mean())) if len(finite) else float("nan")


def pictures(rows: Any, folder: Path) -> None:
    """Loss against steps and CPU time; evaluations of a step against the epoch or, in one-step epochs, the step."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    task, kind = rows["task"].iloc[0], who(rows)
    steps = rows[(rows["split"] == "train") & (rows["seed"] < 100)]
    names = list(dict.fromkeys((r[0], r[1]) for r in steps[[kind, "learning_rate"]].to_numpy()))
    several = steps.groupby(kind)["learning_rate"].nunique().max() > 1
    single = steps.groupby("epoch")["step"].nunique().max() == 1
    loss, (by_step, by_time) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    nfe, both = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for place, (name, rate) in enumerate(names):
        mine = steps[(steps[kind] == name) & (steps["learning_rate"] == rate)]
        style = {"color": COLOURS[place % len(COLOURS)], "label": f"{name} {rate:g}" if several else str(name)}
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
    both[0].set_ylabel("evaluations of a step")
    for figure, what in ((loss, "loss"), (nfe, "nfe")):
        figure.axes[0].legend(fontsize=8)
        figure.suptitle(f"{task}: geometric mean over seeds" if what == "loss" else f"{task}: mean over seeds")
        figure.savefig(folder / f"training-{task}-{what}.png", dpi=100)
        plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].strip()


def main(*arguments: str) -> None:
    folder = Path(next((a for a in arguments if not a.startswith("--keep=")), "reports"))
    for argument in arguments:
        if argument.startswith("--keep="):
            keep(Path(argument.removeprefix("--keep=")), folder)
    kept = tables(folder)
    for _, rows in kept:
        pictures(rows, folder)
    (folder / "training.md").write_text(to_markdown(kept), encoding="utf-8")
    if (folder / "ledger.json").exists():
        from .. import ledger

        ledger.write(ledger.from_json((folder / "ledger.json").read_text(encoding="utf-8")), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
