"""Running cases: one record for each claim on each subject and problem, in one process or in many."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from odecheck_reference import Problem
from odecheck_reference.on_disk import kept_in

from odecheck.claim import Claim
from odecheck.claims import ALL
from odecheck.errors import BadInput
from odecheck.fields.callback import CallbackField
from odecheck.foreign import said
from odecheck.judge import Verdict
from odecheck.record import REFUSED, Record, is_refused, not_asked
from odecheck.records.run_folder import Store, about, without_checksums

from .case import Case, Key, Subjects, Unit, cases, plan
from .code_digest import code_of_claim, code_of_unit
from .estimate import costs
from .limits import UNLIMITED, Limits
from .process_start import CAN_FORK
from .progress import Progress, in_notebook
from .records import Records
from .spent import Clock, Spent
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
    progress: Callable[[Record], None] | bool | None = None,
    seed: int = 0,
    validate: bool = True,
    facts: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> Records:
    """Judge every claim on every subject and problem.

    Args:
        subjects: Subjects, each taken with every problem, or (subject, problem) pairs.
        problems: By default the shipped ones of the quick tier, for subjects with shipped fields.
        claims: Claims, their ids, patterns ("NODE-*"), families ("HB"), topics ("derivatives") or "all".
        executor: Any concurrent.futures.Executor, a cluster's for instance: each unit has a process of its own there,
            with these limits. Without one, `workers` processes, or this process for 1.
        workers: How many processes.
        folder: A run folder, into which records are written as they come.
        resume: Go on with the run in the folder.
        progress: Called with each new record; True for a bar, on a terminal or in a notebook, with the time that is
            left; by default there is one in a notebook.
        seed: Of torch's random numbers, set anew for each case.
        validate: Refuse bad input before its claims.
        facts: More for the folder's run.json.
        limits: Of each case; then it runs in a process of its own, also with one worker and without an executor only.

    Returns:
        The records in the order of the cases, a list that is shown as a verdict and a table. They are the same in every
        column but `seconds` however they were run; the message of a case that a worker ran says as well what it
        printed. Those of a subject that is refused say why, and are errors; the others have theirs.

    Raises:
        BadInput: All of the input is refused, or the folder is.
    """
    units = plan(subjects, problems, claims)
    with _bar(progress, units) as told:
        records = run_units(
            units,
            executor=executor,
            workers=workers,
            folder=folder,
            resume=resume,
            progress=told,
            seed=seed,
            validate=validate,
            facts=facts,
            limits=limits,
        )
    if records and all(map(is_refused, records)):
        raise _again(records[0])
    return Records(records, {claim.id: claim for unit in units for claim in unit.claims}.values())


@contextmanager
def _bar(
    progress: Callable[[Record], None] | bool | None, units: Sequence[Unit]
) -> Generator[Callable[[Record], None] | None]:
    """What is to be called with each record."""
    if progress is None:
        progress = in_notebook()
    if not isinstance(progress, bool):
        yield progress
    elif progress:
        with Progress(sum(len(unit.claims) for unit in units), costs=costs(units)) as bar:
            yield bar
    else:
        yield None


def _again(record: Record) -> BadInput:
    """The refusal that a record tells of."""
    text = record.message.removeprefix(REFUSED)
    seen, _, rest = text.partition("\n  usual cause: ")
    cause, _, fix = rest.partition("\n  what to type: ")
    return BadInput(seen, cause, fix)


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
    isolated: bool = False,
    until: Callable[[], str] = lambda: "",
    order: Callable[[list[Unit]], Sequence[Unit]] = lambda units: units,
    references: str | os.PathLike[str] | None = None,
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
        isolated: Use another process also where one worker is enough.
        until: Asked after each record why no other case is to be begun; from a reason on those left get records that
            say it. They are not kept in the folder: whoever resumes the run asks them.
        order: In which what is left to be done is done; it may cut units into parts.
        references: A folder in which answers of the reference are kept from one run to the next; None for none.

    Returns:
        The records in the order of the cases, with those of subjects that are refused.

    Raises:
        BadInput: The folder is refused.
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
    if store and store.records and without_checksums(store.run.folder):
        warnings.warn(f"{folder}: its records have no checksums; what was changed since goes unseen", stacklevel=2)
    # what was refused was not judged: it may have been mended since
    done: dict[Key, Record] = {r.key: r for r in store.records if not is_refused(r)} if store else {}
    why, spent = "", Spent()
    left = [unit for unit in (u.without(done) for u in units) if unit.claims]
    try:
        kept = None if references is None else os.fspath(references)
        for record in _records(order(left), executor, workers, seed, validate, limits, isolated, kept):
            if isinstance(record, Spent):
                spent += record
                continue
            if record.verdict is Verdict.NOT_ASKED:
                why = why or record.message
                continue
            if store:
                store.add(record)
            done[record.key] = record
            if progress:
                progress(record)
            if stop := until():
                why = stop
                break
        ordered = [done[key] for unit in units for key in unit.keys if key in done]
        if store:
            store.run.facts["spent"] = spent.facts(store.run.facts.get("spent"))
            store.finish(ordered)
    finally:
        if store:
            store.close()
    for unit in units:
        for case, key in zip(unit.cases, unit.keys, strict=True):
            if key not in done:
                ordered.append(not_asked(case.claim, case.subject, case.problem, why))
    return ordered


def _anew(units: Sequence[Unit]) -> list[Unit]:
    """The units, each problem whose field is the user's own module being an object of its own.

    What the reference keeps of a problem it keeps by the object, and a module may have changed since it was last seen,
    also since the field made its copy of it.
    """
    fresh: dict[int, Problem] = {}
    for unit in units:
        if not unit.problem.independent and id(unit.problem) not in fresh:
            field = unit.problem.field
            field = replace(field) if isinstance(field, CallbackField) else field
            fresh[id(unit.problem)] = unit.problem.with_(field=field)
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
    units: Sequence[Unit],
    executor: Executor | None,
    workers: int,
    seed: int,
    validate: bool,
    limits: Limits | None,
    isolated: bool,
    references: str | None,
) -> Iterator[Record | Spent]:
    if not units:
        return
    if executor is None and limits is None and workers <= 1 and not isolated:
        for unit in units:
            with kept_in(references) as kept:
                clock = Clock(kept)
                yield from unit.run(seed=seed, validate=validate)
                yield clock.spent()
        return
    workers = max(1, min(workers, len(units)))
    problems: dict[int, bytes] = {}
    work: list[Work] = []
    for unit in units:
        subject = b""
        try:
            if id(unit.problem) not in problems:
                problems[id(unit.problem)] = _pickled(unit, unit.problem)
            subject = _pickled(unit, unit.subject)
            _pickled(unit, unit.claims)
        except BadInput as reason:
            if executor is not None or workers > 1 or not CAN_FORK:
                yield from unit.refused(reason)
                continue
            subject = b""  # one worker can be a copy of this process
        problem = problems.get(id(unit.problem), b"")
        work.append(Work(unit, subject, problem, seed, validate, limits or UNLIMITED, references))
    yield from through_executor(executor, work) if executor else through_pool(work, workers)


def _pickled(unit: Unit, value: object) -> bytes:
    try:
        pickled = pickle.dumps(value)
        pickle.loads(pickled)
    except Exception as error:
        raise BadInput(
            f"{unit.subject.name!r} on {unit.problem.name!r} cannot be sent to another process: {said(error)}",
            "a lambda, or a class or claim that is defined inside a function",
            "workers=1, or define it at the top level of a module",
        ) from error
    return pickled
