"""The papers' training comparisons: what came out of the rows that were kept, with figures and verdicts.

`python -m odecheck.studies.training [FOLDER]` makes FOLDER/training.md and its figures again from the tables in
FOLDER/training/ (by default reports/), and writes the verdicts into FOLDER/ledger.md. The tables are runs of
`odecheck train`, whose commands the report names; `--keep=RUN` copies the table and the facts of a finished run there.

Losses at the same step, or at the same time, are geometric means over the seeds. An interval is that of the ratio of
geometric means over paired seeds: Student's t on the log ratios, corrected for the number of comparisons of a claim.
CPU time is that of training alone, without evaluations, of one thread on a machine that did other work as well.
Seeds of 100 and more chose the learning rates and judge nothing.
A verdict is about the run that is named, its task, epochs and rate: what is refuted in one epoch may hold after many.
Only a run at figures that the claim's paper or its published code has is a verdict on the paper's sentence (paper); any
other is a finding of ours beside it (ours).

A run with a design says before it begins after how many seeds it is looked at, what α each look spends, and within what
ratio two models are practically the same: `odecheck.ledger.design`. It ends when every comparison is decided: holds,
refuted or no difference; inconclusive is what the largest number of seeds leaves undecided.

SGD has momentum 0.9, Adam its usual constants. SNOpt stands before SGD with momentum 0.9, with the damping and period
of the paper, unless its knobs were drawn.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from odecheck.ledger.benchmark_claims import CLAIMS, EQUAL_TIME, final_loss
from odecheck.ledger.benchmark_rows import verdict
from odecheck.ledger.curves import ahead, ratios
from odecheck.ledger.design import Design
from odecheck.ledger.training_claims import (
    TUNING,
    Comparison,
    at_equal_time,
    best_rate,
    best_rates,
    judge_rows,
)
from odecheck.training.rows import last

from .kept_trainings import FOLDER, Kept, geometric, keep, shareable, tables, who
from .training_pictures import has_end_time, pictures

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
# tables of asv_bench/ beside the runs: their file, title, and columns
MEASURED: dict[str, tuple[str, dict[str, str]]] = {
    "snopt_step": (
        "What a step of SNOpt costs",
        {
            "task": "",
            "sgd_seconds": "SGD's step, CPU s",
            "ordinary_over_sgd": "ordinary / SGD",
            "ordinary_over_sgd_whole": "the same, whole steps",
            "refresh_over_ordinary": "refresh / ordinary",
            "amortised_over_sgd": "amortised over 100 / SGD",
            "ordinary_peak_over_sgd": "peak / SGD's",
            "refresh_peak_over_sgd": "peak of a refresh / SGD's",
        },
    ),
    "task_defaults": (
        "What the defaults of the tasks take",
        {
            "task": "task",
            "models": "models",
            "steps": "steps of each",
            "cpu_seconds": "CPU s",
            "wall_seconds": "wall s",
            "begin": "loss at the start",
            "end": "at the end",
        },
    ),
}


def to_markdown(kept: Sequence[Kept], measured: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """The page.

    Args:
        kept: the runs.
        measured: tables that are no trainings, by their name: what the scripts of asv_bench/ wrote.
        notes: how a run came about, where that matters for its verdict, by its name: FOLDER/training/notes.json.
    """
    lines = ["# Training: the papers' comparisons", "", EXPLANATION, "", "## Verdicts", ""]
    lines += ["| claim | run | verdict | comparisons | figures |", "|---|---|---|---|---|"]
    judged = {run.name: judge_rows(run.rows, run.facts) for run in kept}
    for claim in CLAIMS:
        for name, found in judged.items():
            mine = [one for one in found if one.claim == claim.id]
            if mine:
                whose = "paper" if all(one.of_paper for one in mine) else "ours"
                lines.append(f"| {claim.id} | {name} | **{verdict(mine)}** | {counted(mine)} | {whose} |")
    lines.append("")
    for run in kept:
        lines += _section(run, judged[run.name], (notes or {}).get(run.name, ""))
    for name, (title, columns) in MEASURED.items():
        if name in measured:
            lines += [f"## {title}", "", f"`{measured[name]['command']}`: {measured[name]['note']}", ""]
            lines += _table(columns.values(), ([_shown(row[c]) for c in columns] for row in measured[name]["rows"]))
    return "\n".join(lines) + "\n"


def counted(found: Sequence[Comparison]) -> str:
    """How many comparisons have which verdict."""
    seen = [str(one.verdict) for one in found]
    return ", ".join(f"{seen.count(name)} {name}" for name in dict.fromkeys(seen))


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    header = list(header)
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _section(run: Kept, found: Sequence[Comparison], note: str) -> list[str]:
    rows, facts = run.rows, run.facts
    kind, setting = who(rows), facts["cases"]["setting"]
    judged = rows[rows["seed"] < TUNING]
    clip = f", gradients clipped at {setting['clip']:g}" if setting["clip"] else ""
    lines = [
        f"## {run.name}",
        "",
        f"`{' '.join(shareable(facts['command']))}`",
        "",
        f"Setting {setting['name']}: {setting['epochs']} epochs, batch {setting['batch']}, dopri5 at "
        f"{setting['tolerance']:g}{clip}; seeds {', '.join(map(str, sorted(set(judged['seed']))))}. "
        f"torch {facts['versions']['torch']}, {facts.get('threads', 1)} thread. {_cost(rows)}",
        "",
        *_design(facts),
        *([f"**How this run came about.** {note}", ""] if note else []),
        f"![{run.name}: loss](training-{run.name}-loss.png)",
        "",
        f"![{run.name}: evaluations](training-{run.name}-nfe.png)",
        "",
        *([f"![{run.name}: end time](training-{run.name}-end-time.png)", ""] if has_end_time(rows) else []),
        *_ends(judged, kind),
        "Losses: geometric means over the seeds at the last step; evaluations and steps: means over all steps.",
        "",
    ]
    if (rows["seed"] >= TUNING).any():
        lines += _grid(rows[rows["seed"] >= TUNING], kind)
    if any(one.quantity == EQUAL_TIME for one in found):
        end = at_equal_time(best_rates(rows, kind)).groupby("seed")["cpu_seconds"].max()
        about = f"the median over the seeds; {end.min():.1f} to {end.max():.1f} s"
        lines += [
            f"Equal CPU time: {end.median():.1f} s, {about}. Its loss: the mean of the last tenth of the steps.",
            "",
            f"![{run.name}: along the CPU time](training-{run.name}-ratio.png)",
            "",
            *_curves(rows, kind, found),
        ]
    if found:
        header = ("claim", "quantity", "", "against", "n", "ratio", "interval", "verdict", "")
        lines += _table(
            header,
            (
                (o.claim, o.quantity, o.subject, o.rival, o.n, f"{o.ratio:.3g}", _interval(o), o.verdict, _noted(o))
                for o in found
            ),
        )
    return lines


def _cost(rows: Any) -> str:
    """What the trainings of a run took, those that chose knobs too."""
    ends = rows.groupby(["model", "optimizer", "learning_rate", "seed"])["cpu_seconds"].max()
    return f"{len(ends)} trainings took {ends.sum():,.0f} CPU s."


def _design(facts: Mapping[str, Any]) -> list[str]:
    """What was fixed before the run, for a run with a design."""
    design = Design.of(facts)
    if design is None:
        return []
    margins = ", ".join(f"{name} {ratio:g}" for name, ratio in design.alike.items())
    found = [
        f"{design.effect(len(claim.rivals) * len(claim.quantities)):.2f} for {claim.id}"
        for claim in CLAIMS
        if claim.id in design.claims
    ]
    first, *_, last_one = design.seeds
    return [
        f"**Design, fixed before the run.** At most {len(design.seeds)} seeds, {first} to {last_one}, "
        f"looked at after {', '.join(map(str, design.looks))} of them; α = {design.alpha:g}, of which each look spends "
        f"{', '.join(f'{level:.2g}' for level in design.levels)}. Practically the same within a ratio of: {margins}. A "
        f"mean log ratio of so many of its standard deviations is found with probability 0.9: {', '.join(found)}.",
        "",
    ]


def _curves(rows: Any, kind: str, found: Sequence[Comparison]) -> list[str]:
    """For whom the whole way speaks: at how many of the times the interval is on one side of 1, and at five of them."""
    best = best_rates(rows, kind)
    pairs = dict.fromkeys((one.subject, one.rival) for one in found if one.quantity == EQUAL_TIME)
    lines: list[tuple[str, ...]] = []
    for subject, rival in pairs:
        for split in ("train", "test"):
            points = ratios(best, subject, rival, split=split, kind=kind)
            few = {round(p.share, 2): f"{p.ratio:.2f} ({p.low:.2f} … {p.high:.2f})" for p in points}
            cells = (few.get(share, "–") for share in SHARES)
            lines.append(
                (f"{subject} / {rival}", "training" if split == "train" else "held-out", *cells, ahead(points))
            )
    told = "The ratio of losses at equal CPU time along the way, with an interval at each time by itself (95 %):"
    return [told, "", *_table(("", "loss", *(f"{s:.0%} of the time" for s in SHARES), ""), lines)]


def _ends(rows: Any, kind: str) -> list[str]:
    """A row for each model or optimizer at the end of its trainings."""
    header = (
        kind,
        "rate",
        "n",
        "parameters",
        "loss",
        "test loss",
        "test accuracy",
        "forward NFE",
        "backward NFE",
        "accepted",
        "rejected",
        "CPU s",
        "peak kB",
        *(["end time"] if has_end_time(rows) else []),
        "stopped",
    )
    lines: list[Any] = []
    for (name, rate), mine in last(rows).groupby([kind, "learning_rate"], sort=False):
        peak = rows[(rows[kind] == name) & (rows["learning_rate"] == rate)]["peak_bytes"].max()
        m = mine.mean(numeric_only=True)
        lines.append(
            (
                name,
                f"{rate:g}",
                len(mine),
                f"{m.parameters:.0f}",
                f"{geometric(mine['loss']):.3g}",
                f"{geometric(mine['test_loss']):.3g}",
                "–" if math.isnan(m.test_accuracy) else f"{m.test_accuracy:.3f}",
                f"{m.nfe_forward:.1f}",
                f"{m.nfe_backward:.1f}",
                f"{m.accepted_forward + m.accepted_backward:.1f}",
                f"{m.rejected_forward + m.rejected_backward:.1f}",
                f"{m.cpu_seconds:.1f}",
                f"{peak / 1e3:.0f}",
                *([f"{m.end_time:.3f}"] if has_end_time(rows) else []),
                int((mine["message"] != "").sum()),
            )
        )
    return _table(header, lines)


def _grid(rows: Any, kind: str) -> list[str]:
    """The final losses that chose the rates: a row for each rate, a column for each model or optimizer."""
    names, seeds = list(dict.fromkeys(rows[kind])), sorted(set(rows["seed"]))

    def cell(name: str, rate: float) -> str:
        mine = rows[(rows[kind] == name) & (rows["learning_rate"] == rate)]
        losses = [final_loss(one) for _, one in mine.groupby("seed")]
        stopped = sum(map(math.isnan, losses))
        mean = f"stopped {stopped} of {len(losses)}" if stopped else f"{np.mean(losses):.3g}" if losses else "–"
        return f"**{mean}**" if rate == best[name] else mean

    best = {name: best_rate(rows[rows[kind] == name]) for name in names}
    chosen = f"the seeds {' and '.join(map(str, seeds))}, which chose"
    if "knobs" in rows and (rows["knobs"] != "").any():
        lines = [f"Mean final loss on {chosen} among equally many draws of all knobs of each:", ""]
        drawn = rows.drop_duplicates([kind, "learning_rate"])[[kind, "learning_rate", "knobs"]].to_numpy()
        shown = ((name, f"{rate:g}", knobs, cell(name, rate)) for name, rate, knobs in drawn)
        return [*lines, *_table([kind, "rate", "other knobs", "loss"], shown)]
    table = ([f"{rate:g}", *(cell(name, rate) for name in names)] for rate in sorted(set(rows["learning_rate"])))
    return [f"Mean final loss on {chosen} the learning rates:", "", *_table(["rate", *names], table)]


def _interval(one: Comparison) -> str:
    return f"{one.low:.3g} … {one.high:.3g}" if one.n > 1 else "–"


def _noted(one: Comparison) -> str:
    lost = f"stopped: {one.lost} against {one.rival_lost}" if one.lost or one.rival_lost else ""
    return "; ".join(part for part in (lost, one.note) if part)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].strip()


def main(*arguments: str) -> None:
    """Write training.md and its figures; see the module. arguments: a folder, and --keep=RUN for runs to keep."""
    folder = Path(next((a for a in arguments if not a.startswith("--keep=")), "reports"))
    for argument in arguments:
        if argument.startswith("--keep="):
            keep(Path(argument.removeprefix("--keep=")), folder)
    kept = tables(folder)
    for run in kept:
        pictures(run, folder)
    paths = {name: folder / FOLDER / f"{name}.json" for name in MEASURED}
    measured = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    told = folder / FOLDER / "notes.json"
    notes: dict[str, str] = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    (folder / "training.md").write_text(to_markdown(kept, measured, notes), encoding="utf-8")
    if (folder / "ledger.json").exists():
        from odecheck.ledger import build as ledger

        ledger.write(ledger.from_json((folder / "ledger.json").read_text(encoding="utf-8")), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
