"""How far odecheck itself can be trusted: mutants, false alarms, bars, and the smallest defects refuted."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Block, Caption, Chart, Column, Panel, Section, Series, Table, clip, mapping, tidy

PLACE = 120

SCORES = (Column("measured", "measured"), Column("n", "n", "count"), Column("found", "found"), Column("aim", "aim"))
CLAIMS = (
    Column("claim", "claim"),
    Column("refuted", "mutants refuted", "count"),
    Column("alone", "that no other refutes", "count"),
    Column("kept", "kept although it refutes none alone"),
)
SURVIVORS = (
    Column("mutant", "mutant"),
    Column("family", "family"),
    Column("part", "part"),
    Column("status", "what became of it"),
)


def section(found: Found) -> Section | None:
    """How far odecheck itself can be trusted."""
    made = found.tables.get("selftest", {})
    if not made:
        return None
    lead = "odecheck measured with the means that it measures others with. Made again by: odecheck selftest" + (
        ". Of an unfinished run: what its journals hold." if _of(made, "facts").get("so_far") else ""
    )
    blocks: list[Block] = [Table("selftest-scores", "Mutants, alarms, bars", SCORES, _scores(made))]
    mutants = _of(made, "mutants")
    left = [_of(made, part).get("unexplained_mutants") for part in ("mutants", "kinds")]
    survivors = [row for rows in left if isinstance(rows, list) for row in cast(list[Any], rows)]
    for name, title, columns, rows in (
        ("selftest-survivors", "Survivors without a reason", SURVIVORS, survivors),
        ("selftest-claims", "What each claim is good for", CLAIMS, mutants.get("claims")),
    ):
        if rows and isinstance(rows, list):
            blocks.append(Table(name, title, columns, _frame(cast(list[Any], rows), columns)))
    chart = _discernment(made.get("discernment"))
    return Section("selftest", "odecheck itself", lead, (*blocks, chart) if chart else tuple(blocks))


def _of(made: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(made.get(name))


def _scores(made: Mapping[str, Any]) -> Any:
    pd: Any = import_module("pandas")
    rows: list[Any] = []
    if mutants := _of(made, "mutants"):
        rows.append(("deliberate mistakes, refuted by some claim", mutants.get("mutants"), mutants.get("refuted"), ""))
        rows.append(("survivors without a reason", mutants.get("mutants"), mutants.get("unexplained"), "0"))
    if kinds := _of(made, "kinds"):
        rows.append(("wrong subjects by kinds, refuted", kinds.get("mutants"), kinds.get("refuted"), "all"))
    if alarms := _of(made, "false-alarms"):
        rows.append(("false alarms of correct subjects", alarms.get("judged"), len(alarms.get("alarms") or ()), "0"))
    if bars := _of(made, "bars"):
        rows.append(("errors outside their bar", bars.get("problems"), bars.get("outside"), "0"))
        rows.append(("median of bar over true error", bars.get("problems"), bars.get("median"), "at most 100"))
    if hard := _of(made, "hard"):
        rows.append(("hard problems with the truth outside the bar", hard.get("problems"), hard.get("outside"), "0"))
        rows.append(("hard problems refused", hard.get("problems"), hard.get("refused"), ""))
    if planted := _of(made, "planted"):
        told = "defects of twice what a record would have seen, refuted"
        rows.append((told, planted.get("records"), planted.get("refuted"), "all"))
    frame: Any = pd.DataFrame(rows, columns=[c.name for c in SCORES])
    numbers: Any = pd.to_numeric(frame["n"], errors="coerce")
    frame["n"] = numbers.astype(float)
    frame["found"] = [f"{v:,.4g}" if isinstance(v, int | float) else tidy(v) for v in frame["found"]]
    return frame


def _frame(rows: list[Any], columns: tuple[Column, ...]) -> Any:
    pd: Any = import_module("pandas")
    frame: Any = pd.DataFrame([row for row in rows if isinstance(row, Mapping)]).reindex(
        columns=[c.name for c in columns]
    )
    for column in columns:
        if column.kind == "count":
            numbers: Any = pd.to_numeric(frame[column.name], errors="coerce")
            frame[column.name] = numbers.astype(float)
        else:
            frame[column.name] = [tidy(v) for v in frame[column.name]]
    return frame


def _discernment(rows: Any) -> Chart | None:
    """The smallest defect refuted against the solver's tolerance: the worst part of each claim's answer."""
    pd: Any = import_module("pandas")
    needed = ["test", "engine", "rtol", "smallest_refuted"]
    listed = cast(list[Any], rows) if isinstance(rows, list) else []
    known = [mapping(row) for row in listed if isinstance(row, Mapping)]
    frame: Any = pd.DataFrame(known).reindex(columns=needed)
    for name in ("rtol", "smallest_refuted"):
        numbers: Any = pd.to_numeric(frame[name], errors="coerce")
        frame[name] = numbers.astype(float)
    frame = frame[frame["rtol"].notna()]
    if frame.empty:
        return None
    worst = frame.groupby(["engine", "test", "rtol"], sort=False)["smallest_refuted"].max().reset_index()
    panels: list[Any] = []
    for engine, mine in worst.groupby("engine", sort=False):
        series = tuple(
            Series(clip(str(test)), [*(of := part.sort_values("rtol"))["rtol"]], [*of["smallest_refuted"]])
            for test, part in mine.groupby("test", sort=False)
        )
        axes = Axis("relative tolerance of the solver", log=True), Axis("smallest relative defect refuted", log=True)
        panels.append(Panel(clip(str(engine)), *axes, series))
    caption = Caption(
        "The lower, the smaller the mistake that would have been seen. A claim sees less where the solver itself is "
        "less accurate; a test with a tolerance of its own is level.",
        "relative defect of the compared derivative, and relative tolerance, both without unit",
        f"{len(worst):,} pairs of test and tolerance",
        "odecheck selftest --part discernment --write reports",
    )
    return Chart("discernment", "The smallest mistake that is seen", caption, tuple(panels))
