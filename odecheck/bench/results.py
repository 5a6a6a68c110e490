"""asv's own result files as series: one benchmark with one choice of parameters over commits."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from odecheck.errors import BadInput

from .suite import Suite

State = Literal["measured", "failed", "missing"]
Kind = Literal["count", "error", "time", "memory"]
# what asv calls a benchmark's type → what we make of it; a track_ benchmark says so by its unit
TIMED = {"time": "time", "timeraw": "time", "peakmemory": "memory", "memory": "memory"}
HIGHER = "higher is better"


@dataclass(frozen=True)
class Point:
    """The value at one commit; NaN unless measured. spread: half of asv's interval, NaN where there is none."""

    commit: str
    state: State
    value: float = math.nan
    spread: float = math.nan


@dataclass(frozen=True)
class Series:
    """points: in the order of the commits that were asked for, one for each that was benchmarked.

    index: of the choice of parameters, as asv numbers them. higher: whether a higher value is the better one, which a
    benchmark says in its unit ("accuracy, higher is better").
    """

    benchmark: str
    params: tuple[str, ...]
    index: int
    kind: Kind
    unit: str
    points: tuple[Point, ...]

    @property
    def higher(self) -> bool:
        return HIGHER in self.unit

    @property
    def name(self) -> str:
        return self.benchmark + (f"({', '.join(self.params)})" if self.params else "")


def read_series(suite: Suite, machine: str, commits: Sequence[str]) -> list[Series]:
    """Every series of a machine over these commits. Commits that were not benchmarked have no points.

    Raises BadInput when nothing of the machine was benchmarked.
    """
    try:
        from asv.results import iter_results_for_machine
    except ImportError as missing:
        raise BadInput(
            "asv, whose results these are, is not installed", "it is an extra", 'pip install "odecheck[bench]"'
        ) from missing
    benchmarks = _benchmarks(suite)
    by_commit: dict[str, list[Any]] = {}
    for result in iter_results_for_machine(str(suite.results), machine):
        if result.commit_hash in set(commits):
            by_commit.setdefault(result.commit_hash, []).append(result)
    if not by_commit:
        raise BadInput(
            f"{suite.results} has no results of machine {machine!r} for these {len(commits)} commits",
            "another --machine or range, or no run yet",
            f"odecheck bench RANGE --config {suite.config.name} --machine {machine}",
        )
    found: list[Series] = []
    for name, about in benchmarks.items():
        choices = list(itertools.product(*about["params"])) if about["params"] else [()]
        for index, choice in enumerate(choices):
            points = [
                _point(commit, by_commit[commit], name, tuple(choice), about.get("version"))
                for commit in commits
                if commit in by_commit
            ]
            plain = tuple(str(x).strip("'") for x in choice)
            found.append(Series(name, plain, index, _kind(about), about.get("unit") or "", tuple(points)))
    return found


def _benchmarks(suite: Suite) -> dict[str, dict[str, Any]]:
    path = suite.results / "benchmarks.json"
    if not path.exists():
        raise BadInput(f"there is no {path}", "no run yet", f"odecheck bench --config {suite.config.name}")
    found = json.loads(path.read_text())
    return {name: about for name, about in found.items() if isinstance(about, dict)}


def _kind(about: dict[str, Any]) -> Kind:
    if about["type"] in TIMED:
        return TIMED[about["type"]]  # type: ignore[return-value]
    unit = about.get("unit") or ""
    return "time" if unit == "seconds" else "error" if "error" in unit else "count"


def _point(commit: str, results: list[Any], name: str, choice: tuple[str, ...], version: str | None) -> Point:
    """What the newest result says, of whatever environment. A benchmark that has changed since counts as missing."""
    for result in sorted(results, key=lambda r: r.started_at.get(name) or 0, reverse=True):
        if name not in result.get_all_result_keys():
            continue
        if version is not None and result.benchmark_version.get(name) not in (None, version):
            continue
        choices = list(itertools.product(*result.get_result_params(name)))
        if choice not in choices and choices != [()]:
            continue
        i = choices.index(choice) if choice in choices else 0
        values = result._results[name]  # asv's own accessor fails where a whole benchmark failed
        value = None if values is None else values[i]
        if value is None:
            return Point(commit, "failed")
        if isinstance(value, float) and math.isnan(value):
            return Point(commit, "missing")  # refused in setup
        stats = (result._stats.get(name) or [None] * (i + 1))[i] or {}
        low, high = stats.get("ci_99_a"), stats.get("ci_99_b")
        spread = (high - low) / 2 if low is not None and high is not None else math.nan
        return Point(commit, "measured", float(value), spread)
    return Point(commit, "missing")
