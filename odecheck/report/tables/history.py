"""Benchmarks over commits: a table written by `odecheck regressions --page`, or asv's own result files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.bench.results import read_series
from odecheck.bench.suite import Suite
from odecheck.foreign import first_line
from odecheck.records.journal import regular
from odecheck.report.schemas import Parquet, Piece
from odecheck.report.text import tidy

COLUMNS = ("benchmark", "machine", "kind", "unit", "commit", "position", "value", "spread")


@dataclass(frozen=True)
class History(Parquet):
    """One row for each benchmark, choice of parameters and commit; a folder of asv's results is such a table too."""

    def places(self, folder: Path) -> list[Path]:
        of_asv = [folder] if (folder / "benchmarks.json").exists() else []
        return [*super().places(folder), *of_asv]

    def read(self, place: Path, run: str) -> Piece:
        if not place.is_dir():
            return super().read(place, run)
        table, problems = read_asv(place)
        damaged = [f"{run}: {problem}" for problem in problems]
        return Piece(table.assign(run=run) if table is not None and len(table) else None, run, damaged=damaged)

    def table(self, path: Path) -> tuple[Any, list[str]]:
        made, problems = super().table(path)
        if made is not None:
            named = zip(made["benchmark"], made["params"], strict=True)
            made["benchmark"] = [f"{b}({p})" if p else b for b, p in named]
        return made, problems


KIND = History(
    "history",
    text=("benchmark", "params", "machine", "kind", "unit", "commit"),
    numbers=("position", "value", "spread"),
    needed=("benchmark", "kind", "commit", "position", "value"),
)


def read_asv(results: Path) -> tuple[Any, list[str]]:
    """The table of a folder of asv's results, commits in the order of their dates; and what could not be read."""
    pd: Any = import_module("pandas")
    try:
        asv: Any = import_module("asv.results")
    except ImportError:
        return None, ['asv is not installed, so the benchmarks are not shown: pip install "odecheck[bench]"']
    rows, problems = list[Any](), list[Any]()
    suite = Suite(results / "asv.conf.json", results, results, results)
    for machine in sorted(p.name for p in results.iterdir() if (p / "machine.json").exists()):
        try:
            for path in (results / machine).glob("*.json"):
                regular(path)
            dates: dict[str, int] = {r.commit_hash: r.date for r in asv.iter_results_for_machine(str(results), machine)}
            if not dates:
                continue
            commits = sorted(dates, key=lambda commit: dates[commit])
            found = read_series(suite, machine, commits)
        except Exception as error:  # whatever asv makes of a torn file
            problems.append(f"{tidy(machine)}: {first_line(error, 200)}")
            continue
        place = {commit: i for i, commit in enumerate(commits)}
        rows += [
            (tidy(s.name), machine, s.kind, s.unit, p.commit, float(place[p.commit]), float(p.value), float(p.spread))
            for s in found
            for p in s.points
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS)), problems
