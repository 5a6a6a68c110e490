"""Finding a refuted row by its short id, in a run folder or in a table of conformance."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import EVERY
from odecheck.engines.found import libraries, library_of
from odecheck.errors import BadInput
from odecheck.foreign import literal, one_line, words
from odecheck.problem_sets.conformance import problems
from odecheck.records.export import number
from odecheck.records.facts import versions_in
from odecheck.records.journal import parsed, regular
from odecheck.records.table import can_write, read_table
from odecheck.runner import presets as shipped
from odecheck.subject import SHIPPED, Subject

from .libraries import own

# of a row of a table: what it is found by, and what its script is made of
NAMES = ("library", "version", "engine", "method", "claim", "problem", "verdict")
NUMBERS = ("observed", "expected", "bar")


@dataclass(frozen=True)
class Found:
    """A refuted row: claim, subject and problem themselves, and what was seen.

    Attributes:
        claim: the claim.
        subject: model, solver and engine.
        problem: the problem.
        observed: what was computed, at the worst component.
        expected: what it should have been.
        bar: how far the two may be apart.
        worst: the index of the worst component, as text.
        library: the library's name and version.
    """

    claim: Claim
    subject: Subject
    problem: Problem
    observed: float
    expected: float
    bar: float
    worst: str
    library: str


def found(row: str, folder: Path, library: str = "") -> Found:
    """Find a refuted row.

    Args:
        row: the first characters of its id.
        library: the file or module that declares the library of the row, where that is somebody's own. A folder never
            says it: what it holds is data, and a declaration is code.
        folder: with conformance.parquet, conformance.json or the run.json of a run.

    Returns:
        What the row was made of, and what it says.

    Raises:
        BadInput: no row has this id, it is not refuted, or its claim, subject or problem is none of the shipped ones.
    """
    if library and own(library) is None:
        raise BadInput(
            f"there is no file or module {literal(library, 60)}", "another working folder", "--library path/to/file.py"
        )
    wanted = row.strip("[]").lower()
    kinds = ("parquet", "json") if can_write() else ("json", "parquet")
    tables = [path for path in (folder / f"conformance.{kind}" for kind in kinds) if os.path.lexists(path)]
    at = _in_table(wanted, tables[0]) if tables else None
    at = at or (_in_records(wanted, folder) if (folder / "run.json").exists() else None)
    if at is None:
        raise BadInput(
            f"no row in {folder} has the id {row!r}",
            "another folder, or a misspelt id",
            "odecheck reproduce ROW --run DIR, DIR with run.json, conformance.parquet or conformance.json",
        )
    return at


def _refuted(row: str, verdict: str) -> None:
    if verdict != "refuted":
        raise BadInput(
            f"row {row} is {literal(verdict, 60)}: there is nothing to reproduce",
            "the id of another row",
            "a row whose verdict is 'refuted'",
        )


def _claim(name: str) -> Claim:
    claim = next((claim for claim in EVERY if claim.id == name), None)
    if claim is None:
        raise BadInput(
            f"there is no claim {literal(name, 60)}",
            "a table or a run of another version of odecheck",
            "odecheck claims, which lists them",
        )
    return claim


def _damaged(table: Path, said: str) -> BadInput:
    return BadInput(
        f"{table} cannot be read: {said}",
        "a disk that was full, a copy that was cut off, or another program's file",
        "odecheck conformance, which writes it anew",
    )


def _problem(name: str, of: Iterable[Problem]) -> Problem:
    problem = next((p for p in of if p.name == name), None)
    if problem is None:
        raise BadInput(
            f"no shipped problem is called {literal(name)}",
            "a problem of your own",
            "odecheck show ROW, which runs the case again with odecheck",
        )
    return problem


def _row(row: str, table: Path) -> dict[str, Any] | None:
    """The first row of this id, whose names are names and whose numbers are numbers."""
    rows, damaged = _rows_in_json(table) if table.suffix == ".json" else _rows_in_parquet(table)
    one = next((found for found in rows if words(found.get("row", "")).startswith(row)), None)
    if one is None:
        if damaged:
            raise _damaged(table, damaged)
        return None
    strange = [name for name in NAMES if not isinstance(one.get(name), str)]
    strange += [name for name in NUMBERS if not isinstance(one.get(name), int | float)]
    if strange:
        raise _damaged(table, f"the {strange[0]} of row {row} is {literal(one.get(strange[0]), 60)}")
    return one


def _rows_in_parquet(table: Path) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table, and what is damaged of it."""
    read = read_table(table)
    return [] if read.frame is None else read.frame.to_dict("records"), "; ".join(read.damaged)


def _rows_in_json(table: Path) -> tuple[list[dict[str, Any]], str]:
    """The same of what `export.write_json` wrote, as it is where tables cannot be written."""
    try:
        read: Any = parsed(regular(table).read_text(encoding="utf-8"))
        rows = [{**row, **{name: number(row.get(name)) for name in NUMBERS}} for row in read["records"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return [], one_line(error)
    return rows, ""


def _in_table(row: str, table: Path) -> Found | None:
    from .plan import posed

    one = _row(row, table)
    if one is None:
        return None
    _refuted(row, one["verdict"])
    claim = _claim(one["claim"])
    library = next((lib for lib in libraries() if lib.name == one["library"]), None)
    if library is None:
        raise BadInput(
            f"there is no library {literal(one['library'], 60)} here",
            "a library of somebody's own, which a file or another package declares",
            "the same with --library path/to/file.py, or pip install the package that declares it",
        )
    # how a library is asked is a matter of its engines alone: the release itself need not be at hand
    asked = library.asks(str(one["version"]), "")
    way = next((w for w in asked if w.engine_name == one["engine"] and w.method == one["method"]), None)
    if way is None:
        raise BadInput(
            f"{library.name} {one_line(one['version'], 60)} is not asked for {one_line(one['method'], 60)} with "
            f"{one_line(one['engine'], 60)}",
            "a table that another version of odecheck wrote",
            "odecheck conformance, which writes it anew",
        )
    problem = _problem(one["problem"], (*posed(claim, False), *problems(claim.id)))
    return Found(
        claim,
        Subject(SHIPPED, way.solver, way.engine),
        problem,
        float(one["observed"]),
        float(one["expected"]),
        float(one["bar"]),
        worst if isinstance(worst := one.get("worst"), str) else "",
        f"{library.name} {one['version']}",
    )


def _in_records(row: str, folder: Path) -> Found | None:
    from odecheck.records.run_folder import read
    from odecheck.records.summary import identifier

    facts, records = read(folder)
    record = next((r for r in records if identifier(r).startswith(row)), None)
    if record is None:
        return None
    _refuted(row, str(record.verdict))
    known = (subject for tier in shipped.TIERS for subject in shipped.subjects(tier))
    subject = next((s for s in known if s.name == record.subject), None)
    if subject is None:
        raise BadInput(
            f"no shipped subject is called {literal(record.subject)}",
            "a subject of your own",
            "odecheck show ROW, which runs the case again with odecheck",
        )
    library = library_of(subject.engine)
    name = library.name if library else subject.engine.name
    release = versions_in(facts).get(library.package if library else name, "")
    return Found(
        _claim(record.claim),
        subject,
        _problem(record.problem, shipped.problems("full")),
        record.observed,
        record.expected,
        record.bar,
        record.worst,
        f"{name} {release}".strip(),
    )
