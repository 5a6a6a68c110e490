"""Units of work as jobs: through the pool of processes, or through anybody's `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.record import Record

from .case import Unit
from .limits import UNLIMITED, Limits, OutOfTime, Printed, within
from .pool import Failure, Job, in_processes


@dataclass(frozen=True, eq=False)
class Work:
    """A unit, and its subject and problem as bytes, pickled once: equal bytes are one problem to a worker."""

    unit: Unit
    subject: bytes
    problem: bytes
    seed: int
    validate: bool
    limits: Limits = UNLIMITED

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.subject, self.problem, pickle.dumps(self.unit.claims), self.seed, self.validate, self.limits

    def job(self) -> Job:
        # seconds are of each claim, and counted by the work itself
        return Job(self, _perform, self.arguments, Limits(memory=self.limits.memory))

    def one_by_one(self) -> list[Work]:
        return [replace(self, unit=part) for part in self.unit.one_by_one()]


def _perform(subject: bytes, problem: bytes, claims: bytes, seed: int, validate: bool, limits: Limits) -> list[Record]:
    unit = Unit(pickle.loads(subject), _problem(problem), pickle.loads(claims))
    if multiprocessing.parent_process() is None:  # somebody's executor of threads: nothing of the process is ours
        return list(unit.run(seed=seed, validate=validate))
    with Printed() as printed, unit_of_work():
        if validate:
            unit.validate(seed)
        return [_timed(part, seed, limits, printed) for part in unit.one_by_one()]


def _timed(part: Unit, seed: int, limits: Limits, printed: Printed) -> Record:
    """The record of a unit of one claim, which says as well that time was up, and what was printed."""
    try:
        with within(limits.seconds, limits.grace):
            (record,) = part.run(seed=seed, validate=False)
    except OutOfTime:
        (record,) = part.crashed(_late(limits.seconds))
    except SystemExit as ended:
        (record,) = part.crashed(f"the subject ended its process: SystemExit({ended.code})")
    said = printed.take()
    return replace(record, message=f"{record.message}\nprinted to standard output: {said}") if said else record


def _late(seconds: float | None) -> str:
    return f"no answer within {seconds:g} seconds"


@lru_cache(maxsize=64)
def _problem(pickled: bytes) -> Problem:
    """The same object for the same bytes, so that what the reference keeps of a problem serves all its subjects."""
    return pickle.loads(pickled)


def _failed(unit: Unit, error: BaseException | None, words: str) -> list[Record]:
    """The records of a unit whose worker failed. Raises BadInput where that is what it said."""
    if isinstance(error, BadInput):
        raise error
    return unit.crashed(f"the worker failed: {words}")


def through_executor(executor: Executor, work: Sequence[Work]) -> Iterator[Record]:
    """Records as they come from anybody's executor. A unit whose worker failed gives records of errors."""
    running = {executor.submit(_perform, *piece.arguments): piece for piece in work}
    try:
        for future in as_completed(running):
            error = future.exception()
            found = (
                future.result()
                if error is None
                else _failed(running[future].unit, error, f"{type(error).__name__}: {error}")
            )
            yield from found
    finally:
        for future in running:
            future.cancel()


def through_pool(work: Sequence[Work], workers: int) -> Iterator[Record]:
    """Records as they come from the pool of processes.

    A unit whose process died is run again by itself, claim by claim: the others of its claims have answers, and the
    memory that was missing may have been that of another worker. What dies again gives the record of an error.
    """
    suspects = list[Work]()
    for piece, found in in_processes([piece.job() for piece in work], workers):
        if isinstance(found, Failure) and found.why == "died":
            suspects.append(piece)
        elif isinstance(found, Failure):
            yield from _failed(piece.unit, found.error, found.message)
        else:
            yield from found
    for piece, found in in_processes([single.job() for one in suspects for single in one.one_by_one()], 1):
        if not isinstance(found, Failure):
            yield from found
            continue
        if found.why != "died":
            yield from _failed(piece.unit, found.error, found.message)
            continue
        seconds = piece.limits.seconds
        late = seconds is not None and found.seconds > seconds
        yield from piece.unit.crashed(f"{_late(seconds)}; its process was ended" if late else found.message)
