"""Finding a refuted row by its short id, in a run folder or in a table of conformance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import EVERY
from odecheck.engines.found import libraries, library_of
from odecheck.errors import BadInput
from odecheck.problem_sets.conformance import problems
from odecheck.runner import presets as shipped
from odecheck.subject import SHIPPED, Subject


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


def found(row: str, folder: Path) -> Found:
    """Find a refuted row.

    Args:
        row: the first characters of its id.
        folder: with conformance.parquet or the run.json of a run.

    Returns:
        What the row was made of, and what it says.

    Raises:
        BadInput: no row has this id, it is not refuted, or its claim, subject or problem is none of the shipped ones.
    """
    wanted = row.strip("[]").lower()
    table = folder / "conformance.parquet"
    at = _in_table(wanted, table) if table.exists() else None
    at = at or (_in_records(wanted, folder) if (folder / "run.json").exists() else None)
    if at is None:
        raise BadInput(
            f"no row in {folder} has the id {row!r}",
            "another folder, or a misspelt id",
            "odecheck reproduce ROW --run DIR, DIR with run.json or conformance.parquet",
        )
    return at


def _refuted(row: str, verdict: str) -> None:
    if verdict != "refuted":
        raise BadInput(
            f"row {row} is {verdict!r}: there is nothing to reproduce",
            "the id of another row",
            "a row whose verdict is 'refuted'",
        )


def _claim(name: str) -> Claim:
    return next(claim for claim in EVERY if claim.id == name)


def _problem(name: str, of: Iterable[Problem]) -> Problem:
    problem = next((p for p in of if p.name == name), None)
    if problem is None:
        raise BadInput(
            f"no shipped problem is called {name!r}",
            "a problem of your own",
            "odecheck show ROW, which runs the case again with odecheck",
        )
    return problem


def _in_table(row: str, table: Path) -> Found | None:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    from .plan import posed

    rows = cast(Any, pd).read_parquet(table)
    rows = rows[rows["row"].str.startswith(row)]
    if not len(rows):
        return None
    one = rows.iloc[0]
    _refuted(row, one["verdict"])
    claim = _claim(one["claim"])
    library = next((lib for lib in libraries() if lib.name == one["library"]), None)
    if library is None:
        raise BadInput(
            f"there is no library {one['library']!r} here",
            "a table of another installation, with packages that bring libraries of their own",
            "pip install the package that declares it",
        )
    # how a library is asked is a matter of its engines alone: the release itself need not be at hand
    asked = library.asks(str(one["version"]), "")
    way = next((w for w in asked if w.engine_name == one["engine"] and w.method == one["method"]), None)
    if way is None:
        raise BadInput(
            f"{library.name} {one['version']} is not asked for {one['method']} with {one['engine']}",
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
        str(one.get("worst", "")),
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
            f"no shipped subject is called {record.subject!r}",
            "a subject of your own",
            "odecheck show ROW, which runs the case again with odecheck",
        )
    library = library_of(subject.engine)
    name = library.name if library else subject.engine.name
    release = facts.get("versions", {}).get(library.package if library else name) or ""
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
