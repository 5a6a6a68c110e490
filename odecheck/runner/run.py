"""Running cases: one record for each claim on each subject and problem, in one process or in many."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from odecheck_reference import Problem

from odecheck.claim import Claim
from odecheck.claims import ALL
from odecheck.errors import BadInput
from odecheck.record import Record, not_asked
from odecheck.records.run_folder import Store, about

from .case import Case, Key, Subjects, Unit, cases, plan
from .code_digest import code_of_claim, code_of_unit
from .limits import UNLIMITED, Limits
from .units import Work, through_executor, through_pool

__all__ = ["Case", "Limits", "Unit", "cases", "check", "plan", "run_units"]


def check(
    subjects: Subjects,
    problems: Problem | Iterable[Problem] | None = None,
    claims: Claim | str | Iterable[Claim | str] = ALL,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[Record], None] | None = None,
    seed: int = 0,
    validate: bool = True,
    facts: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> list[Record]:
    """Judge every claim on every subject and problem.

    Args:
        subjects: Subjects, each taken with every problem, or (subject, problem) pairs.
        problems: By default the shipped ones of the quick tier, for subjects with shipped fields.
        claims: Claims, their ids, patterns ("NODE-*"), families ("HB"), topics ("derivatives") or "all".
        executor: Any concurrent.futures.Executor. Without one, `workers` processes, or this process for 1.
        workers: How many processes.
        folder: A run folder, into which records are written as they come.
        resume: Go on with the run in the folder.
        progress: Called with each new record.
        seed: Of torch's random numbers, set anew for each case.
        validate: Refuse bad input before its claims.
        facts: More for the folder's run.json.
        limits: Of each case; then it runs in a process of its own, also with one worker and without an executor only.

    Returns:
        The records in the order of the cases, the same in every column but `seconds` however they were run; the message
        of a case that a worker ran says as well what it printed.

    Raises:
        BadInput: Input that is refused; what was finished before is in the folder.
    """
    units = plan(subjects, problems, claims)
    return run_units(
        units,
        executor=executor,
        workers=workers,
        folder=folder,
        resume=resume,
        progress=progress,
        seed=seed,
        validate=validate,
        facts=facts,
        limits=limits,
    )


def run_units(
    units: Sequence[Unit],
    *,
    executor: Executor | None = None,
    workers: int = 1,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[Record], None] | None = None,
    seed: int = 0,
    validate: bool = True,
    facts: dict[str, Any] | None = None,
    limits: Limits | None = None,
    until: Callable[[], bool] = lambda: False,
    order: Callable[[list[Unit]], Sequence[Unit]] = lambda units: units,
) -> list[Record]:
    """Judge units of which each has claims of its own.

    Args:
        units: What is to be done; the other arguments are those of `check`.
        executor: Any concurrent.futures.Executor.
        workers: How many processes.
        folder: A run folder.
        resume: Go on with the run in the folder.
        progress: Called with each new record.
        seed: Of torch's random numbers.
        validate: Refuse bad input before its claims.
        facts: More for the folder's run.json.
        limits: Of each case.
        until: Asked after each record; from True on no case is begun, and those left get records that say so. They are
            not kept in the folder: whoever resumes the run asks them.
        order: In which what is left to be done is done; it may cut units into parts.

    Returns:
        The records in the order of the cases.

    Raises:
        BadInput: Input that is refused.
    """
    units = _anew(units)
    store = None
    if folder is not None:
        store = Store.open(folder, about(_cases_of(units), seed=seed, **(facts or {})), resume=resume)
    for damage in store.damaged if store else ():
        warnings.warn(f"{folder}: {damage}; the cases that it held are run again", stacklevel=2)
    if store and store.changed:
        told = f"{folder}: {store.changed}; these cases are asked again"
        warnings.warn(told, stacklevel=2)
    done: dict[Key, Record] = {record.key: record for record in store.records} if store else {}
    left = [unit for unit in (u.without(done) for u in units) if unit.claims]
    try:
        for record in _records(order(left), executor, workers, seed, validate, limits):
            if store:
                store.add(record)
            done[record.key] = record
            if progress:
                progress(record)
            if until():
                break
        ordered = [done[key] for unit in units for key in unit.keys if key in done]
        if store:
            store.finish(ordered)
    finally:
        if store:
            store.close()
    for unit in units:
        for case, key in zip(unit.cases, unit.keys, strict=True):
            if key not in done:
                ordered.append(not_asked(case.claim, case.subject, case.problem, "the time that was given was up"))
    return ordered


def _anew(units: Sequence[Unit]) -> list[Unit]:
    """The units, each problem whose field is the user's own module being an object of its own.

    What the reference keeps of a problem it keeps by the object, and a module may have changed since it was last seen.
    """
    fresh: dict[int, Problem] = {}
    for unit in units:
        if not unit.problem.independent and id(unit.problem) not in fresh:
            fresh[id(unit.problem)] = unit.problem.with_()
    return [replace(unit, problem=fresh.get(id(unit.problem), unit.problem)) for unit in units]


def _cases_of(units: Sequence[Unit]) -> dict[str, Any]:
    """What a run consists of, for run.json: two runs of the same cases have the same."""
    claims = list(dict.fromkeys(claim.id for unit in units for claim in unit.claims))
    code = {claim.id: code_of_claim(claim) for unit in units for claim in unit.claims}
    return {
        "claims": claims,
        "pairs": [[u.subject.name, u.problem.name, _digest(u.problem)] for u in units],
        "code": {"claims": code, "pairs": [code_of_unit(unit) for unit in units]},
    }


def _digest(problem: Problem) -> str:
    """The problem's numbers, so that a changed problem is not taken for the old one."""
    numbers = b"".join(array.tobytes() for array in (problem.y0, problem.theta, problem.ts))
    return hashlib.sha256(numbers).hexdigest()[:12]


def _records(
    units: Sequence[Unit], executor: Executor | None, workers: int, seed: int, validate: bool, limits: Limits | None
) -> Iterator[Record]:
    if not units:
        return
    if executor is None and limits is None and (workers <= 1 or len(units) <= 1):
        for unit in units:
            yield from unit.run(seed=seed, validate=validate)
        return
    problems: dict[int, bytes] = {}
    work: list[Work] = []
    for unit in units:
        if id(unit.problem) not in problems:
            problems[id(unit.problem)] = _pickled(unit, unit.problem)
        work.append(
            Work(unit, _pickled(unit, unit.subject), problems[id(unit.problem)], seed, validate, limits or UNLIMITED)
        )
    _pickled(units[0], units[0].claims)
    yield from through_executor(executor, work) if executor else through_pool(work, max(1, min(workers, len(work))))


def _pickled(unit: Unit, value: object) -> bytes:
    try:
        pickled = pickle.dumps(value)
        pickle.loads(pickled)
    except Exception as error:
        raise BadInput(
            f"{unit.subject.name!r} on {unit.problem.name!r} cannot be sent to another process: {error}",
            "a lambda, or a class or claim that is defined inside a function",
            "workers=1, or define it at the top level of a module",
        ) from error
    return pickled
