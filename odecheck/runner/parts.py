"""What a worker does of a unit: its records one by one, within limits, with what was printed and what it cost."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from odecheck_reference import Problem
from odecheck_reference.on_disk import kept_in

from odecheck.foreign import said
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.record import Record

from .case import Unit
from .limits import TIME_IS_UP, Limits, OutOfTime, Printed, within
from .read_outside import read_outside
from .spent import Clock, Spent


@dataclass(frozen=True)
class Unread:
    """A unit that a new process cannot read, though this one can.

    The file that it is of has prepared its process: other modules under the names of missing ones, folders to look
    into, the words of a command line, values in the modules that it imports.

    Attributes:
        words: What was raised there.
    """

    words: str


def parts_of(
    subject: Any,
    problem: Any,
    claims: Any,
    seed: int,
    validate: bool,
    limits: Limits,
    references: str | None,
    dtype: torch.dtype,
    outside: str,
) -> Iterator[Record | Spent | Unread | None]:
    """A unit as it is done by a worker.

    Args:
        subject: Of it, pickled or as it is.
        problem: Likewise.
        claims: Likewise.
        seed: Of random numbers.
        validate: Refuse bad input before the claims.
        limits: Of each claim.
        references: The folder in which answers of the reference are kept, or None.
        dtype: torch's default, which the user's file may have set for constants of its field.
        outside: Of the subject where it was pickled, as `read_outside` has it.

    Yields:
        The records one by one, and what they cost; before them None, where the subject was let in; or that it cannot
        be read here.
    """
    torch.set_default_dtype(dtype)
    if isinstance(subject, bytes):
        try:
            subject, problem, claims = pickle.loads(subject), problem_of(problem), pickle.loads(claims)
        except (Exception, SystemExit) as error:
            yield Unread(said(error))
            return
        if read_outside(subject) != outside:
            yield Unread("values that its code reads are others in a new process")
            return
    unit = Unit(subject, problem, claims)
    with Printed() as printed, unit_of_work(), kept_in(references) as kept:
        clock = Clock(kept)
        trouble = _trouble(unit, seed, limits) if validate else []
        clock.validated()
        if trouble:
            output = printed.take()
            yield from (_with_print(record, output) for record in trouble)
        asked = unit.without(record.key for record in trouble)
        if asked.claims:
            yield None
        for part in asked.one_by_one():
            yield _timed(part, seed, limits, printed)
        yield clock.spent()


def read(subject: bytes, dtype: torch.dtype) -> None:
    """Read what a unit is of, for what its file changes of its process; `parts_of` says what is wrong with it.

    Args:
        subject: Of the unit, pickled; empty where there is nothing to read.
        dtype: torch's default, as in `parts_of`.
    """
    torch.set_default_dtype(dtype)
    if subject:
        with suppress(Exception, SystemExit):
            pickle.loads(subject)


def _trouble(unit: Unit, seed: int, limits: Limits) -> list[Record]:
    if limits.over:
        return unit.not_asked(TIME_IS_UP)
    try:
        with within(limits.left, limits.grace):
            return unit.trouble(seed)
    except OutOfTime:
        return unit.not_asked(TIME_IS_UP) if limits.over else unit.crashed(f"before any claim: {late(limits.seconds)}")
    except KeyboardInterrupt:  # a worker ignores Ctrl-C: it is the subject's own
        return unit.crashed("before any claim: KeyboardInterrupt")


def _timed(part: Unit, seed: int, limits: Limits, printed: Printed) -> Record:
    """The record of a unit of one claim, which says as well that time was up, and what was printed."""
    if limits.over:
        return part.not_asked(TIME_IS_UP)[0]
    try:
        with within(limits.left, limits.grace):
            record = part.cases[0].run(seed)
    except OutOfTime:
        (record,) = part.not_asked(TIME_IS_UP) if limits.over else part.crashed(late(limits.seconds))
    except KeyboardInterrupt:
        (record,) = part.crashed("KeyboardInterrupt")
    return _with_print(record, printed.take())


def _with_print(record: Record, output: str) -> Record:
    return replace(record, message=f"{record.message}\nprinted to standard output: {output}") if output else record


def late(seconds: float | None) -> str:
    """That a claim took too long.

    Args:
        seconds: Its limit.

    Returns:
        In words.
    """
    return f"no answer within {seconds:g} seconds"


@lru_cache(maxsize=64)
def problem_of(pickled: bytes) -> Problem:
    """The same object for the same bytes, so that what the reference keeps of a problem serves all its subjects.

    Args:
        pickled: Of a problem.

    Returns:
        It.
    """
    return pickle.loads(pickled)
