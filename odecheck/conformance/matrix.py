"""The matrix: units of work from libraries, and rows from their records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from odecheck.claim import Claim
from odecheck.claims.find import found as named
from odecheck.engines.library import Asked, Known
from odecheck.errors import BadInput, Unsupported, needed
from odecheck.judge import Verdict
from odecheck.record import Record
from odecheck.reproduce import script
from odecheck.runner.case import Key, Unit
from odecheck.runner.run import Limits, run_units
from odecheck.solvers import Toleranced
from odecheck.subject import SHIPPED, Subject

from .known import known_failure, refuse_no_claims, unused
from .libraries import Version
from .plan import claims, posed, refuse_unasked

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One verdict on a library. A row of a whole version (not installed, not tested) has no claim.

    Attributes:
        library: its name.
        version: its version.
        engine: the way of differentiating.
        method: the solver's method.
        claim: the claim's id.
        problem: the problem's name.
        verdict: of the claim.
        ok: whether that was to be expected.
        error: |observed − expected| at the worst component.
        error_over_tolerance: of a solution, over what its tolerance promised there; otherwise NaN.
        resolved: the relative defect that would have been seen.
        score: the gap in units of the bar.
        observed: what was computed, at the worst component.
        expected: what it should have been.
        bar: how far the two may be apart.
        worst: the index of the worst component, as text.
        nfe: evaluations of the field.
        seconds: of the wall.
        message: what was said.
        expected_failure: why it is known to fail, or nothing.
        row: eight characters that are the same for the same case in every run.
        reproducer: of what is refuted, a script that needs the library alone.
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
    worst: str
    nfe: int
    seconds: float
    message: str
    expected_failure: str
    row: str
    reproducer: str = ""


COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Matrix:
    """What is to be run.

    Attributes:
        units: of work.
        origin: of each case the library with its version, and the way of using it.
        notices: rows that need no run, of versions that cannot be run or were not tested.
    """

    units: tuple[Unit, ...]
    origin: dict[Key, tuple[Version, Asked]]
    notices: tuple[Row, ...]

    def run(self, *, workers: int, limits: Limits, folder: Path, **how: Any) -> list[Row]:
        """Run it. A library that crashes, hangs or takes all memory costs its own rows alone.

        Args:
            workers: processes.
            limits: of time and memory, for each case.
            folder: of the run.
            how: more of what `run_units` takes: executor, references, resume, progress, facts.

        Returns:
            All rows, by library, the notices first.

        Raises:
            BadInput: a folder that is taken, or of another run.
        """
        records = run_units(self.units, workers=workers, limits=limits, folder=folder, validate=False, **how)
        asked = {key: (claim, unit) for unit in self.units for claim, key in zip(unit.claims, unit.keys, strict=True)}
        rows = (with_script(row_of(record, *self.origin[record.key]), *asked[record.key]) for record in records)
        return [*self.notices, *rows]


def matrix(
    found: Sequence[Version],
    folder: Path,
    *,
    claim: Sequence[str] = (),
    engine: str = "",
    method: str = "",
    problem: str = "",
) -> Matrix:
    """Every version with every way of using it.

    Args:
        found: the versions.
        folder: where releases are kept.
        claim: only these: what `odecheck.claims.find.found` takes.
        engine: only engines with this in their name.
        method: only methods with this in their name.
        problem: only problems with this in their name.

    Returns:
        What is to be run.

    Raises:
        BadInput: two rows have one name, or a claim is none that is asked of libraries.
    """
    refuse_unasked(claim)
    for library in dict.fromkeys(one.library for one in found):
        refuse_no_claims(library)
    wanted = {c.id for c in named(claim)}
    units: list[Unit] = []
    origin: dict[Key, tuple[Version, Asked]] = {}
    notices: list[Row] = []
    for one in found:
        asked: Sequence[Asked] = ()
        if one.trouble:
            said = f"{one.trouble}; what to type: {one.fix}"
            notices.append(_notice(one, Verdict.UNSUPPORTED, said, ok=not one.named))
            continue
        if one.remark:
            notices.append(_notice(one, Verdict.NOT_APPLICABLE, one.remark, ok=True))
        try:
            asked = one.library.asks(one.release, one.folder or str(folder))
        except Exception as error:  # a library that cannot even be asked is a row
            notices.append(_notice(one, Verdict.ERROR, f"{type(error).__name__}: {error}", ok=False))
        for way in asked:
            if engine.lower() not in way.engine_name.lower() or method.lower() not in way.method.lower():
                continue
            for unit in _units(way):
                left = tuple(c for c in unit.claims if not wanted or c.id in wanted)
                if not left or problem.lower() not in unit.problem.name.lower():
                    continue
                units.append(Unit(unit.subject, unit.problem, left))
                for key in units[-1].keys:
                    if key in origin:
                        raise BadInput(
                            f"two rows are called {' / '.join(key)}",
                            "two engines of one name",
                            "a name with the library and the version in it",
                        )
                    origin[key] = one, way
    if not (claim or engine or method or problem):
        notices += [_unmatched(one, known) for one, known in unused(found, origin)]
    return Matrix(tuple(units), origin, tuple(notices))


def _unmatched(one: Version, known: Known) -> Row:
    said = f"a known failure is that of no row that is asked, and can be deleted: {known.why}"
    return _notice(one, Verdict.NOT_APPLICABLE, said, ok=True)


def _units(way: Asked) -> list[Unit]:
    by_problem: dict[str, tuple[Any, list[Claim]]] = {}
    for topic in way.topics:
        for claim in claims(topic):
            for problem in posed(claim, way.brief):
                by_problem.setdefault(problem.name, (problem, []))[1].append(claim)
    subject = Subject(SHIPPED, way.solver, way.engine)
    return [Unit(subject, problem, tuple(asked)) for problem, asked in by_problem.values()]


def row_of(record: Record, one: Version, way: Asked) -> Row:
    """A record as a row of its library."""
    gap = abs(record.observed - record.expected)
    why = known_failure(one.library, one.release, way, record.claim, record.problem)
    return Row(
        library=one.library.name,
        version=one.release,
        engine=way.engine_name,
        method=way.method,
        claim=record.claim,
        problem=record.problem,
        verdict=str(record.verdict),
        ok=is_expected(record, why),
        error=gap,
        error_over_tolerance=_in_tolerances(record, way.solver, gap),
        resolved=record.resolved,
        score=record.score,
        observed=record.observed,
        expected=record.expected,
        bar=record.bar,
        worst=record.worst,
        nfe=record.nfe,
        seconds=record.seconds,
        message=record.message + (f"\nto decide it: {record.decides}" if record.decides else ""),
        expected_failure=why,
        row=digest(*record.key),
    )


def with_script(row: Row, claim: Claim, unit: Unit) -> Row:
    """The row with its reproducer, or why there is none, where it is refuted."""
    if row.verdict != Verdict.REFUTED:
        return row
    try:
        text = script(
            claim,
            unit.subject,
            unit.problem,
            observed=row.observed,
            expected=row.expected,
            bar=row.bar,
            worst=row.worst,
            library=f"{row.library} {row.version}",
        )
    except (BadInput, Unsupported) as reason:
        text = f"# no script: {str(reason).splitlines()[0]}"
    return replace(row, reproducer=text)


def is_expected(record: Record, why: str) -> bool:
    """Whether a row is as expected: what is known to fail has to fail, and nothing else may."""
    if record.verdict in (Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED, Verdict.INCONCLUSIVE):
        return True
    return (str(record.verdict) == record.expected_verdict) != bool(why)


def _in_tolerances(record: Record, solver: object, gap: float) -> float:
    """The error of a solution at the finest rung, over what that rung's tolerance is at the worst component."""
    if record.claim not in ("SOL-2", "SOL-14") or not isinstance(solver, Toleranced) or not record.solves:
        return NAN
    rtol = solver.rtol / 10 ** (record.solves - 1)  # one solve on each rung, each ten times finer
    atol = rtol / 100 if solver.atol is None else solver.atol / 10 ** (record.solves - 1)
    return gap / (atol + rtol * abs(record.expected))


def digest(*names: str) -> str:
    """Eight characters that stand for these names."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:8]


def _notice(one: Version, verdict: Verdict, message: str, *, ok: bool) -> Row:
    empty = Row(
        one.library.name,
        one.release,
        "",
        "",
        "",
        "",
        str(verdict),
        ok,
        NAN,
        NAN,
        NAN,
        NAN,
        NAN,
        NAN,
        NAN,
        "",
        0,
        0.0,
        message,
        "",
        "",
    )
    return replace(empty, row=digest(one.library.name, one.release, str(verdict)))


def unexpected(rows: Sequence[Row]) -> list[Row]:
    """The rows that make the exit status: refuted or crashed and not known to, or holding although known to fail."""
    return [row for row in rows if not row.ok]


def frame(rows: Sequence[Row]) -> Any:
    """The rows as a pandas DataFrame. Raises BadInput without the extra tables."""
    (pd,) = needed("tables", "pandas")

    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
