"""The history of a suite as a Markdown page, a table and a figure, to be read without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odecheck.foreign import code, markdown
from odecheck.records.table import write_table

from .changes import Change, in_words, worst_first
from .results import Series
from .run import Done
from .suite import Suite


def write(
    suite: Suite,
    series: Sequence[Series],
    found: Sequence[Change],
    done: Sequence[Done],
    commits: Sequence[str],
    folder: Path,
    *,
    machine: str,
    said: str = "",
) -> Path:
    """history.md, history.parquet (a row for each series and commit) and history.svg. The path of the page.

    machine: the name that the results are kept under. said: a line below the changes, of what was compared in pairs.
    """
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    folder.mkdir(parents=True, exist_ok=True)
    names = {commit: suite.subject(commit) for commit in commits}
    rows = [
        {
            "benchmark": s.benchmark,
            "params": ", ".join(s.params),
            "machine": machine,
            "kind": s.kind,
            "unit": s.unit,
            "commit": p.commit,
            "position": commits.index(p.commit),
            "subject": names[p.commit],
            "state": p.state,
            "value": p.value,
            "spread": p.spread,
        }
        for s in series
        for p in s.points
    ]
    table: Any = pd.DataFrame(rows)
    write_table(folder / "history.parquet", table)
    shown = [s for s in series if any(p.state == "measured" for p in s.points)]
    exact = [s for s in shown if s.kind in ("count", "error")]
    _draw(exact, commits, folder / "history.svg")
    at = [commit for commit in commits if any(p.commit == commit for s in shown for p in s.points)]
    lines = [
        "# What the code needed over its own history",
        "",
        f"{len(shown)} series at {len(at)} commits, by `odecheck bench`; counts and errors are exact. A dash: the "
        "commit does not have it.",
        "",
        "![relative to the first commit that has it](history.svg)",
        "",
        "## What changed",
        "",
        *(f"- `{code(in_words(change))}`" for change in worst_first(found)),
        "" if found else "Nothing.",
        "",
        *([f"{markdown(said)}.", ""] if said else []),
        "## Commits",
        "",
        "| commit | subject | asv | seconds | load |",
        "|---|---|---|---|---|",
    ]
    ran = {d.commit: d for d in done}
    for commit in at:
        one = ran.get(commit)
        told = f"{'ok' if one.ok else 'some failed'} | {one.seconds:.0f} | {one.load[0]:.1f}" if one else " | | "
        lines.append(f"| {commit[:8]} | {markdown(names[commit])} | {told} |")
    heads = " | ".join(commit[:8] for commit in at)
    lines += ["", "## Values", "", f"| series | {heads} |", "|---|" + "---|" * len(at)]
    for s in exact:
        values = {p.commit: p for p in s.points}
        cells = (_cell(values[c].value, values[c].state) if c in values else "" for c in at)
        lines.append(f"| {markdown(s.name)} | {' | '.join(cells)} |")
    if done:
        kept = ", ".join(f"{name} {number}" for name, number in done[-1].versions.items() if number)
        lines += ["", markdown(f"With {kept}; {done[-1].device}.")]
    path = folder / "history.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _cell(value: float, state: str) -> str:
    return state if state in ("failed", "time limit") else "–" if math.isnan(value) else f"{value:.5g}"


def _draw(series: Sequence[Series], commits: Sequence[str], path: Path) -> None:
    """Every series that changed, over its first value."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    drawn: Any = plt.subplots(figsize=(8, 4), layout="constrained")  # pyright: ignore[reportUnknownMemberType]
    figure, axes = drawn
    for s in series:
        points = [(commits.index(p.commit), p.value) for p in s.points if p.state == "measured" and p.value > 0]
        if len(points) > 1 and len({value for _, value in points}) > 1:
            places, values = zip(*points, strict=True)
            axes.step(places, [v / values[0] for v in values], where="post", marker="o", label=s.name, linewidth=1)
    axes.set(yscale="log", ylabel="relative to the first", xlabel="commit", xticks=range(len(commits)))
    axes.set_xticklabels([c[:8] for c in commits], rotation=60, fontsize=7)
    if axes.lines:
        axes.legend(fontsize=5, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path)
    plt.close(figure)
