"""asv's own result files as series: one benchmark with one choice of parameters over commits."""

from __future__ import annotations

import importlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from odecheck.errors import BadInput
from odecheck.foreign import first_line, literal, one_line
from odecheck.records.journal import parsed, regular

from .run import read_done
from .suite import Suite

State = Literal["measured", "failed", "time limit", "missing"]
Kind = Literal["count", "error", "time", "memory", "number"]
# what asv calls a benchmark's type → what we make of it; a track_ benchmark says so by its unit
TIMED = {"time": "time", "timeraw": "time", "peakmemory": "memory", "memory": "memory"}
HIGHER = "higher is better"
UNITS_OF_TIME = re.compile(r"(?i)(cpu )?(ns|[uµμ]s|ms|s|secs?|min|h|(nano|micro|milli)?seconds?|minutes?|hours?)")
UNITS_OF_MEMORY = re.compile(r"(?i)([kmgt]i?)?b(ytes?)?")
# how asv says that a benchmark took too long, and of which choice of parameters it speaks
LATE = re.compile(r"asv: benchmark timed out \(timeout ([\d.]+)s\)")
CHOICE = re.compile(r"^For parameters: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """The value at one commit.

    Attributes:
        commit: its hash.
        state: measured, failed, time limit where asv ended it, or missing where the commit does not have it.
        value: in the series' unit; NaN unless measured.
        spread: half of asv's 99 % interval, NaN where there is none.
        message: what asv said of one that failed, on one line.
    """

    commit: str
    state: State
    value: float = math.nan
    spread: float = math.nan
    message: str = ""


@dataclass(frozen=True)
class Series:
    """One benchmark with one choice of parameters, over commits.

    Attributes:
        benchmark: asv's name of it.
        params: the choice, as text; empty where the benchmark has no parameters.
        index: of the choice, as asv numbers them.
        kind: count, error, time, memory, or a number that is none of these.
        unit: as the benchmark says it.
        points: in the order of the commits that were asked for, one for each that was benchmarked.
    """

    benchmark: str
    params: tuple[str, ...]
    index: int
    kind: Kind
    unit: str
    points: tuple[Point, ...]

    @property
    def higher(self) -> bool:
        """Whether a higher value is the better one: the benchmark says so in its unit ("…, higher is better")."""
        return HIGHER in self.unit

    @property
    def name(self) -> str:
        """The benchmark with its parameters, in which no two series are alike."""
        return self.benchmark + (f"({', '.join(self.params)})" if self.params else "")


def read_series(suite: Suite, machine: str, commits: Sequence[str]) -> list[Series]:
    """Every series of a machine over these commits.

    Args:
        suite: whose results.
        machine: the name that they are kept under.
        commits: hashes, in the order of the points. Those that were not benchmarked have none.

    Returns:
        The series, in asv's order.

    Raises:
        BadInput: asv is not installed, or nothing of the machine was benchmarked.
    """
    try:
        kept: Any = importlib.import_module("asv.results")
    except ImportError as missing:
        raise BadInput(
            "asv, whose results these are, is not installed", "it is an extra", 'pip install "odecheck[bench]"'
        ) from missing
    benchmarks = _benchmarks(suite)
    by_commit: dict[str, list[Any]] = {}
    wanted = set(commits)
    try:
        for path in (suite.results / machine).glob("*.json"):
            regular(path)
        for result in kept.iter_results_for_machine(str(suite.results), machine):
            if result.commit_hash in wanted:
                by_commit.setdefault(result.commit_hash, []).append(result)
    except Exception as error:  # whatever asv makes of a torn file
        raise BadInput(
            f"the results of machine {literal(machine)} in {suite.results} cannot be read: {first_line(error)}",
            "a copy that was cut off, or another program's files",
            f"odecheck bench --config {suite.config.name} --machine {one_line(machine)}, in another folder of results",
        ) from error
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
            found.append(Series(name, plain, index, _kind(about, points), about.get("unit") or "", tuple(points)))
    said = {done.commit: done.messages for done in read_done(suite, machine)}
    return [replace(one, points=tuple(_told(one, point, said) for point in one.points)) for one in found]


def _told(series: Series, point: Point, said: dict[str, dict[str, str]]) -> Point:
    """A point that failed with what asv said of it: the part that is about this choice of parameters."""
    message = said.get(point.commit, {}).get(series.benchmark, "")
    if point.state != "failed" or not message:
        return point
    _, *parts = CHOICE.split(message)
    mine = [text for choice, text in zip(parts[::2], parts[1::2], strict=True) if _same(choice, series.params)]
    text = mine[-1] if mine else message
    late = LATE.search(text)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    words = f"{float(late[1]):g} s" if late else one_line(lines[-1], 200) if lines else ""
    return replace(point, state="time limit" if late else "failed", message=words)


def _same(choice: str, params: tuple[str, ...]) -> bool:
    return choice.replace("'", "") == ", ".join(params)


def _benchmarks(suite: Suite) -> dict[str, dict[str, Any]]:
    path = suite.results / "benchmarks.json"
    if not path.exists():
        raise BadInput(f"there is no {path}", "no run yet", f"odecheck bench --config {suite.config.name}")
    try:
        found: Any = parsed(regular(path).read_text(encoding="utf-8"))
        return {name: about for name, about in found.items() if isinstance(about, dict) and "type" in about}
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{path} cannot be read: {first_line(error)}", "a copy that was cut off", "odecheck bench, which writes it"
        ) from error


def _kind(about: dict[str, Any], points: Sequence[Point]) -> Kind:
    """What is measured: by the unit, which a benchmark says; without one, what is no whole number is no count."""
    if about["type"] in TIMED:
        return TIMED[about["type"]]  # type: ignore[return-value]
    unit = (about.get("unit") or "").strip()
    if UNITS_OF_TIME.fullmatch(unit):
        return "time"
    if UNITS_OF_MEMORY.fullmatch(unit):
        return "memory"
    if "error" in unit.lower():
        return "error"
    whole = all(point.value.is_integer() for point in points if math.isfinite(point.value))
    return "count" if unit or whole else "number"


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
        stats: dict[str, Any] = (result._stats.get(name) or [None] * (i + 1))[i] or {}
        low, high = stats.get("ci_99_a"), stats.get("ci_99_b")
        spread = (high - low) / 2 if low is not None and high is not None else math.nan
        return Point(commit, "measured", float(value), spread)
    return Point(commit, "missing")
