"""Which library keeps which promise: the worst of the problems of every library, engine and claim."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from odecheck.claim import reading_order
from odecheck.claims.find import by_id
from odecheck.report.libraries import Standing, gravest, standings
from odecheck.report.reader import Found
from odecheck.report.text import Caption, Column, Grid, GridPanel, Section, Table, clip

PLACE = 50

# of a library, side by side
MOST_VERSIONS = 6

# from the harmless to the grave: a cell has the colour of its gravest row
LEVELS = (
    ("not applicable", "#f2f2f2"),
    ("unsupported", "#d9d9d9"),
    ("holds", "#0072b2"),
    ("inconclusive", "#f0e442"),
    ("refuted", "#d55e00"),
    ("error", "#000000"),
)
# verdicts of rows that lead to a story
TOLD = ("refuted", "inconclusive", "error")
COLUMNS = (
    Column("record", "story", "record"),
    Column("row", "row"),
    Column("verdict", "verdict", "verdict"),
    Column("ok", "as expected"),
    Column("library", "library"),
    Column("version", "version"),
    Column("engine", "engine"),
    Column("method", "method"),
    Column("claim", "claim"),
    Column("problem", "problem"),
    Column("error", "error", "number"),
    Column("error_over_tolerance", "error / tolerance", "number"),
    Column("score", "gap / bar", "number"),
    Column("resolved", "would have seen", "number"),
    Column("nfe", "NFE", "count"),
    Column("seconds", "seconds", "number"),
    Column("expected_failure", "known to fail"),
    Column("message", "message"),
)


def section(found: Found) -> Section | None:
    """What the libraries were asked, and what came out: a map and all rows."""
    rows = found.tables.get("conformance")
    if rows is None or rows.empty:
        return None
    judged = rows[rows["claim"] != ""]  # a row of a whole version, that it could not be installed, has no claim
    caption = Caption(
        "One row for each library, version and engine, one column for each claim. Colour: the gravest verdict among "
        "methods and problems; the text: how many of the judged rows hold.",
        "rows that hold of rows that were judged",
        f"{len(judged):,} rows",
        "odecheck conformance, then odecheck report RUN",
    )
    lead = "Every library was asked the same questions. What it does not offer is unsupported, and no fault."
    told = rows.assign(record=rows["record"].where(rows["verdict"].isin(TOLD), ""))

    def first(verdicts: Any) -> Any:
        return verdicts.map(dict(zip(TOLD, range(3), strict=True)))

    told = told.sort_values("verdict", key=first, kind="stable")
    table = Table("conformance-rows", "Every row", COLUMNS, told)
    each = tuple(_library(one) for one in standings(rows))
    return Section("conformance", "Libraries", lead, (_matrix(judged, caption), *each, table))


def _library(one: Standing) -> Table:
    """Every claim that was judged of a library, its versions side by side, what does not hold first."""
    pd: Any = import_module("pandas")
    titles = {id: claim.title for id, claim in by_id().items()}
    versions = one.versions[:MOST_VERSIONS]
    rows: list[dict[str, Any]] = []
    for claim in dict.fromkeys(str(row["claim"]) for row in one.rows):
        newest = one.of(one.newest, claim)
        failing = gravest(newest)
        unsure = next((row for row in newest if row["verdict"] == "inconclusive"), None)
        told = failing or unsure
        rows.append(
            {
                "record": told["record"] if told else "",
                "claim": claim,
                "what": titles.get(claim, ""),
                "why": "" if failing is None else failing["expected_failure"] or "not known to fail",
                "grave": 0 if failing else 1 if unsure else 2,
                **{f"at {version}": str(one.counts(version, claim)) for version in versions},
            }
        )
    columns = (
        Column("record", "story", "record"),
        Column("claim", "claim"),
        Column("what", "what"),
        *(Column(f"at {version}", clip(version, 20)) for version in versions),
        Column("why", "why it does not hold"),
    )
    rows.sort(key=lambda row: (row["grave"], reading_order(row["claim"])))
    left_out = len(one.versions) - len(versions)
    older = f" {_counted(left_out, 'older version')} more in the rows below." if left_out else ""
    asked = {row["claim"] for row in one.of(one.newest)}
    refuted = sum(row["grave"] == 0 for row in rows)
    note = (
        f"{one.newest}: {len(asked) - refuted} of {_counted(len(asked), 'claim')} without a row that is refuted. By "
        f"version, rows that hold ✓, are refuted or an error ✗, or are not decided ?.{older} A story has a script that "
        f"needs the library alone. Its badge: odecheck conformance {one.name} --badge FILE."
    )
    return Table(one.place, one.name, columns, pd.DataFrame(rows), note)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _matrix(rows: Any, caption: Caption) -> Grid:
    names = [
        " ".join(part for part in key if part)
        for key in zip(rows["library"], rows["version"], rows["engine"], strict=False)
    ]
    known = [name for name, _ in LEVELS]
    cells: dict[tuple[str, str], list[int]] = {}
    for name, claim, verdict in zip(names, rows["claim"], rows["verdict"], strict=False):
        level = known.index(verdict) if verdict in known else known.index("error")
        cells.setdefault((name, claim), []).append(level)
    down, across = list(dict.fromkeys(names)), list(dict.fromkeys(rows["claim"]))
    worst = [[max(cells[n, c]) if (n, c) in cells else None for c in across] for n in down]
    notes = [[_note(cells.get((n, c), []), known.index("holds")) for c in across] for n in down]
    labels, panel = [clip(n) for n in down], GridPanel("", worst, notes)
    return Grid("conformance", "Conformance", caption, labels, [clip(c) for c in across], LEVELS, (panel,))


def _note(levels: list[int], holds: int) -> str:
    judged = [level for level in levels if level >= holds]
    return f"{judged.count(holds)}/{len(judged)}" if judged else ""
