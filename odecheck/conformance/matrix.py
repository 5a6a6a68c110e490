"""The matrix: units of work from libraries, and rows from their records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..case import Key, Unit
from ..claim import Claim
from ..engines.library import Asked, Library
from ..judge import Verdict
from ..record import Record
from ..run import Limits, run_units
from ..solvers import Adaptive
from ..subject import SHIPPED, Subject
from ..summary import outcome
from .libraries import Version
from .questions import claims, posed

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One verdict on a library. row: eight characters that are the same for the same case in every run.

    ok: whether it was to be expected. error: |observed − expected| at the worst component, and over the tolerance of
    the subject where the claim is about that. A row of a whole version (not installed, not tested) has no claim.
    """

    library: str
    version: str
    engine: str
    method: str
    claim: str
    problem: str
    verdict: str
    ok: bool
    error: float
    error_over_tolerance: float
    resolved: float
    score: float
    observed: float
    expected: float
    bar: float
    nfe: int
    seconds: float
    message: str
    expected_failure: str
    row: str


COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Matrix:
    """What is to be run: units, and of each case the library, its version and the way of using it."""

    units: tuple[Unit, ...]
    origin: dict[Key, tuple[Version, Asked]]
    notices: tuple[Row, ...]

    def run(self, *, workers: int, limits: Limits, folder: Path, resume: bool = False,
            progress: Callable[[Record], None] | None = None, facts: dict[str, Any] | None = None) -> list[Row]:  # fmt: skip
        """All rows, by library. A library that crashes, hangs or takes all memory costs its own rows alone."""
        records = run_units(self.units, workers=workers, limits=limits, folder=folder, resume=resume,
                            progress=progress, door=False, facts=facts)  # fmt: skip
        return [*self.notices, *(row_of(record, *self.origin[record.key]) for record in records)]


def matrix(found: Sequence[Version], folder: Path, *, claim: Sequence[str] = (), engine: str = "",
           method: str = "", problem: str = "") -> Matrix:  # fmt: skip
    """Every version with every way of using it. claim, engine, method, problem: only these, as parts of their names."""
    wanted = {c.upper() for c in claim}
    units: list[Unit] = []
    origin: dict[Key, tuple[Version, Asked]] = {}
    notices: list[Row] = []
    for one in found:
        asked: Sequence[Asked] = ()
        if one.trouble:
            notices.append(_notice(one, Verdict.UNSUPPORTED, one.trouble, ok=not one.named))
            continue
        if one.remark:
            notices.append(_notice(one, Verdict.NOT_APPLICABLE, one.remark, ok=True))
        try:
            asked = one.library.asks(one.release, str(folder))
        except Exception as error:  # a library that cannot even be asked is a row
            notices.append(_notice(one, Verdict.ERROR, f"{type(error).__name__}: {error}", ok=False))
        for way in asked:
            if engine.lower() not in way.engine_name.lower() or method.lower() not in way.method.lower():
                continue
            for unit in _units(one, way):
                left = tuple(c for c in unit.claims if not wanted or c.id in wanted)
                if not left or problem.lower() not in unit.problem.name.lower():
                    continue
                units.append(Unit(unit.subject, unit.problem, left))
                origin |= {key: (one, way) for key in units[-1].keys}
    return Matrix(tuple(units), origin, tuple(notices))


def _units(one: Version, way: Asked) -> list[Unit]:
    by_problem: dict[str, tuple[Any, list[Claim]]] = {}
    for topic in way.topics:
        for claim in claims(topic):
            for problem in posed(claim, way.brief):
                by_problem.setdefault(problem.name, (problem, []))[1].append(claim)
    return [
        Unit(
            Subject(SHIPPED, way.solver, way.engine, _expected(one.library, one.release, way, problem.name, asked)),
            problem, tuple(asked),
        )
        for problem, asked in by_problem.values()
    ]  # fmt: skip


def _expected(library: Library, release: str, way: Asked, problem: str, asked: Sequence[Claim]) -> dict[str, str]:
    """What is known to fail, with its reason. An untested version is held to what the newest tested one fails."""
    at = release if release in library.tested else library.tested[-1]
    return {c.id: known.why for c in asked for known in library.known if known.of(at, way, c.id, problem)}


def row_of(record: Record, one: Version, way: Asked) -> Row:
    """A record as a row of its library."""
    gap = abs(record.observed - record.expected)
    known = bool(record.expected_failure)
    expected = outcome(record) != "failed" or (known and record.verdict is Verdict.ERROR)
    over = gap if record.claim.startswith("TOL") and isinstance(way.solver, Adaptive) else NAN
    return Row(
        library=one.library.name, version=one.release, engine=way.engine_name, method=way.method, claim=record.claim,
        problem=record.problem, verdict=str(record.verdict), ok=expected, error=gap, error_over_tolerance=over,
        resolved=record.resolved, score=record.score, observed=record.observed, expected=record.expected,
        bar=record.bar, nfe=record.nfe, seconds=record.seconds, message=record.message,
        expected_failure=record.expected_failure, row=digest(*record.key),
    )  # fmt: skip


def digest(*names: str) -> str:
    """Eight characters that stand for these names."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:8]


def _notice(one: Version, verdict: Verdict, message: str, *, ok: bool) -> Row:
    empty = Row(one.library.name, one.release, "", "", "", "", str(verdict), ok, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0,
                0.0, message, "", "")  # fmt: skip
    return replace(empty, row=digest(one.library.name, one.release, str(verdict)))


def unexpected(rows: Sequence[Row]) -> list[Row]:
    """The rows that make the exit status: refuted or crashed and not known to, or holding although known to fail."""
    return [row for row in rows if not row.ok]


def frame(rows: Sequence[Row]) -> Any:
    """The rows as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
