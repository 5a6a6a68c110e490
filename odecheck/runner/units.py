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
from odecheck.foreign import said
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.record import Record

from .case import Unit
from .limits import UNLIMITED, Limits, OutOfTime, Printed, within
from .pool import SLACK, Failure, Job, in_processes


@dataclass(frozen=True, eq=False)
class Work:
    """A unit, and its subject and problem as bytes, pickled once: equal bytes are one problem to a worker.

    Args:
        unit: What is to be done.
        subject: Its subject, pickled; empty where it cannot be: then a worker begins as a copy of this process.
        problem: Its problem, pickled.
        seed: Of random numbers.
        validate: Refuse bad input before the claims.
        limits: Of each claim.
    """

    unit: Unit
    subject: bytes
    problem: bytes
    seed: int
    validate: bool
    limits: Limits = UNLIMITED

    @property
    def forked(self) -> bool:
        """Whether its worker is a copy of this process."""
        return not self.subject

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What a worker gets, all of it small or pickled, but for a copy of this process."""
        if self.forked:
            return self.unit.subject, self.unit.problem, self.unit.claims, self.seed, self.validate, self.limits
        return self.subject, self.problem, pickle.dumps(self.unit.claims), self.seed, self.validate, self.limits

    def job(self) -> Job:
        """The same as a job of the pool.

        Returns:
            A job whose key is this piece of work, and whose parts are records, after None for a subject that is let in.
        """
        # seconds are of each claim, and counted by the work itself; the pool ends a worker that cannot
        seconds = self.limits.seconds
        patience = None if seconds is None else seconds + self.limits.grace + SLACK
        return Job(self, _parts, self.arguments, Limits(memory=self.limits.memory), patience)

    def one_by_one(self) -> list[Work]:
        """The same work in parts.

        Returns:
            A piece for each claim.
        """
        return [replace(self, unit=part) for part in self.unit.one_by_one()]

    def after(self, count: int) -> Work:
        """The same work without its first claims.

        Args:
            count: How many have their records.

        Returns:
            What is left of it.
        """
        return replace(self, unit=replace(self.unit, claims=self.unit.claims[count:]))


def _perform(subject: bytes, problem: bytes, claims: bytes, seed: int, validate: bool, limits: Limits) -> list[Record]:
    if multiprocessing.parent_process() is None:  # somebody's executor of threads: nothing of the process is ours
        unit = Unit(pickle.loads(subject), _problem(problem), pickle.loads(claims))
        return list(unit.run(seed=seed, validate=validate))
    return [part for part in _parts(subject, problem, claims, seed, validate, limits) if part is not None]


def _parts(
    subject: Any, problem: Any, claims: Any, seed: int, validate: bool, limits: Limits
) -> Iterator[Record | None]:
    """The records one by one; before them None, where the subject was let in."""
    if isinstance(subject, bytes):
        subject, problem, claims = pickle.loads(subject), _problem(problem), pickle.loads(claims)
    unit = Unit(subject, problem, claims)
    with Printed() as printed, unit_of_work():
        trouble = _trouble(unit, seed, limits) if validate else []
        if trouble:
            said = printed.take()
            yield from (_with_print(record, said) for record in trouble)
            return
        yield None
        for part in unit.one_by_one():
            yield _timed(part, seed, limits, printed)


def _trouble(unit: Unit, seed: int, limits: Limits) -> list[Record]:
    try:
        with within(limits.seconds, limits.grace):
            return unit.trouble(seed)
    except OutOfTime:
        return unit.crashed(f"before any claim: {_late(limits.seconds)}")
    except KeyboardInterrupt:  # a worker ignores Ctrl-C: it is the subject's own
        return unit.crashed("before any claim: KeyboardInterrupt")


def _timed(part: Unit, seed: int, limits: Limits, printed: Printed) -> Record:
    """The record of a unit of one claim, which says as well that time was up, and what was printed."""
    try:
        with within(limits.seconds, limits.grace):
            record = part.cases[0].run(seed)
    except OutOfTime:
        (record,) = part.crashed(_late(limits.seconds))
    except KeyboardInterrupt:
        (record,) = part.crashed("KeyboardInterrupt")
    return _with_print(record, printed.take())


def _with_print(record: Record, said: str) -> Record:
    return replace(record, message=f"{record.message}\nprinted to standard output: {said}") if said else record


def _late(seconds: float | None) -> str:
    return f"no answer within {seconds:g} seconds"


@lru_cache(maxsize=64)
def _problem(pickled: bytes) -> Problem:
    """The same object for the same bytes, so that what the reference keeps of a problem serves all its subjects."""
    return pickle.loads(pickled)


def _failed(unit: Unit, error: BaseException | None, words: str) -> list[Record]:
    """The records of a unit whose worker failed."""
    return unit.refused(error) if isinstance(error, BadInput) else unit.crashed(f"the worker failed: {words}")


def through_executor(executor: Executor, work: Sequence[Work]) -> Iterator[Record]:
    """Work through anybody's executor. A unit whose worker failed gives records of errors.

    Args:
        executor: Any `concurrent.futures.Executor`.
        work: All of it.

    Yields:
        Records as they come.
    """
    running = {executor.submit(_perform, *piece.arguments): piece for piece in work}
    try:
        for future in as_completed(running):
            error = future.exception()
            found = future.result() if error is None else _failed(running[future].unit, error, said(error))
            yield from found
    finally:
        for future in running:
            future.cancel()


def through_pool(work: Sequence[Work], workers: int) -> Iterator[Record]:
    """Work through the pool of processes. Each claim is answered once, whatever becomes of the others.

    A claim whose process died is asked again by itself: the memory that was missing may have been that of another
    worker. What dies again gives the record of an error, and what comes after it is done.

    Args:
        work: All of it.
        workers: How many processes.

    Yields:
        Records as they come.
    """
    suspects = list[Work]()
    for start in ("forkserver", "fork"):
        pieces = [piece for piece in work if piece.forked == (start == "fork")]
        let_in, count = set[Work](), dict[Work, int]()
        for piece, found in in_processes([piece.job() for piece in pieces], workers, start=start):
            if found is None:
                let_in.add(piece)
            elif not isinstance(found, Failure):
                count[piece] = count.get(piece, 0) + 1
                yield found
            elif found.why == "raised":
                yield from _failed(piece.after(count.get(piece, 0)).unit, found.error, found.message)
            else:
                suspects.append(piece.after(count.get(piece, 0)))
    for piece in suspects:
        yield from _alone(piece)


def _alone(piece: Work) -> Iterator[Record]:
    """Its first claim in a process of its own, then what comes after it. What ends before any claim is so at each."""
    while piece.unit.claims:
        one = piece.one_by_one()[0]
        records, failure, let_in = _in_one_process(one)
        if failure is not None and not records:
            records = _ended(one.unit if let_in else piece.unit, failure, piece.limits.seconds)
        yield from records
        piece = piece.after(len(records))
        records, failure, _ = _in_one_process(piece)
        yield from records
        piece = piece.after(len(records))
        if failure is not None and failure.why == "raised":
            yield from _failed(piece.unit, failure.error, failure.message)
            return


def _in_one_process(piece: Work) -> tuple[list[Record], Failure | None, bool]:
    """The records that came, why not all did, and whether the subject was let in."""
    records, failure, let_in = list[Record](), None, not piece.validate
    jobs = [piece.job()] if piece.unit.claims else []
    for _, found in in_processes(jobs, 1, start="fork" if piece.forked else "forkserver"):
        if isinstance(found, Failure):
            failure = found
        elif found is None:
            let_in = True
        else:
            records.append(found)
    return records, failure, let_in


def _ended(unit: Unit, failure: Failure, seconds: float | None) -> list[Record]:
    if failure.why == "raised":
        return _failed(unit, failure.error, failure.message)
    late = seconds is not None and failure.seconds > seconds
    return unit.crashed(f"{_late(seconds)}; its process was ended" if late else failure.message)
