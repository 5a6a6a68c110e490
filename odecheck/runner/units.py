"""Units of work as jobs: through the pool of processes, or through anybody's `concurrent.futures.Executor`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from odecheck.errors import BadInput
from odecheck.record import Record

from .case import Unit
from .elsewhere import carried, on_worker
from .limits import TIME_IS_UP, UNLIMITED, Limits
from .parts import Unread, late, parts_of, read
from .pool import SLACK, Failure, Job, in_processes
from .process_start import CAN_FORK, Start
from .read_outside import read_outside
from .spent import Spent


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
        references: The folder in which answers of the reference are kept, or None.
    """

    unit: Unit
    subject: bytes
    problem: bytes
    seed: int
    validate: bool
    limits: Limits = UNLIMITED
    references: str | None = None

    @property
    def forked(self) -> bool:
        """Whether its worker is a copy of this process."""
        return not self.subject

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What a worker gets, all of it small or pickled, but for a copy of this process."""
        how = self.seed, self.validate, self.limits, self.references, torch.get_default_dtype()
        if self.forked:
            return self.unit.subject, self.unit.problem, self.unit.claims, *how, ""
        return self.subject, self.problem, pickle.dumps(self.unit.claims), *how, read_outside(self.unit.subject)

    def job(self, key: Any = None) -> Job:
        """The same as a job of the pool.

        Args:
            key: Of the job.

        Returns:
            A job whose parts are records, after None for a subject that is let in, and last what all of it cost. Its
            key is `key`.
        """
        # seconds are of each claim, and counted by the work itself; the pool ends a worker that cannot
        seconds = self.limits.left
        patience = None if seconds is None else seconds + self.limits.grace + SLACK
        return Job(
            key,
            parts_of,
            self.arguments,
            Limits(memory=self.limits.memory),
            patience,
            group=self.problem or id(self.unit.problem),
            read=partial(read, self.subject, torch.get_default_dtype()),
        )

    def one_by_one(self) -> list[Work]:
        """The same work in parts.

        Returns:
            A piece for each claim.
        """
        return [replace(self, unit=part) for part in self.unit.one_by_one()]

    def after(self, found: Iterable[Record]) -> Work:
        """What is left of the same work.

        Args:
            found: The records that there are.

        Returns:
            It without the claims that have theirs.
        """
        return replace(self, unit=self.unit.without(record.key for record in found))


def _unread(unit: Unit, words: str) -> list[Record]:
    return unit.refused(
        BadInput(
            f"another process cannot read the subject: {words}",
            "a file that prepares its own process: sys.modules, sys.path, sys.argv",
            "the same at the top of the module of the field itself; or no --scheduler",
        )
    )


def _failed(unit: Unit, error: BaseException | None, words: str) -> list[Record]:
    """The records of a unit whose worker failed."""
    return unit.refused(error) if isinstance(error, BadInput) else unit.crashed(f"the worker failed: {words}")


@dataclass(frozen=True)
class _Answers:
    """What came of a unit in a process of its own: records, why not all came, whether it was let in, cost."""

    records: list[Record]
    failure: Failure | None
    let_in: bool
    spent: Spent | None
    unread: Unread | None


def _answers(found: Iterable[Any]) -> _Answers:
    """The same, of all that came of a job whose work is `_parts`."""
    records, failure, let_in, spent, unread = list[Record](), None, False, None, None
    for one in found:
        if isinstance(one, Failure):
            failure = one
        elif one is None:
            let_in = True
        elif isinstance(one, Spent):
            spent = one
        elif isinstance(one, Unread):
            unread = one
        else:
            records.append(one)
    return _Answers(records, failure, let_in, spent, unread)


def through_executor(executor: Executor, work: Sequence[Work]) -> Iterator[Record | Spent]:
    """Work through anybody's executor: each unit in a process of its own on the worker that it comes to.

    What ends a unit's process is a record of the claim that was asked; those after it are asked there again. A unit
    whose worker has gone, with or without its executor, is done by processes of this computer.

    Args:
        executor: Any `concurrent.futures.Executor`.
        work: All of it.

    Yields:
        Records as they come, and what units cost.
    """
    running = {executor.submit(on_worker, carried(piece.job())): piece for piece in work}
    try:
        for future in as_completed(running):
            piece = running[future]
            if future.exception() is not None:
                yield from through_pool([piece], 1)
                continue
            found = _answers(future.result())
            yield from found.records
            if found.spent is not None:
                yield found.spent
            if found.unread is not None:
                yield from _unread(piece.unit, found.unread.words)
                continue
            rest = piece.after(found.records)
            if found.failure is None:
                continue
            if found.failure.why == "raised":
                yield from _failed(rest.unit, found.failure.error, found.failure.message)
            else:
                yield from _alone(rest, lambda one: _answers(executor.submit(on_worker, carried(one.job())).result()))
    finally:
        for future in running:
            future.cancel()


def through_pool(work: Sequence[Work], workers: int) -> Iterator[Record | Spent]:
    """Work through the pool of processes. Each claim is answered once, whatever becomes of the others.

    A claim whose process died is asked again by itself: the memory that was missing may have been that of another
    worker. What dies again gives the record of an error, and what comes after it is done. What a new process cannot
    read is done by a copy of this one, where there are copies.

    Args:
        work: All of it.
        workers: How many processes.

    Yields:
        Records as they come, and what units cost.
    """
    suspects, unread = list[Work](), list[Work]()
    for start in ("forkserver", "fork"):
        pieces = [piece for piece in (*work, *unread) if piece.forked == (start == "fork")]
        done = dict[Work, list[Record]]()
        for piece, found in in_processes([piece.job(piece) for piece in pieces], workers, start=start):
            if found is None:
                continue
            if isinstance(found, Spent):
                yield found
            elif isinstance(found, Unread):
                if CAN_FORK:
                    unread.append(replace(piece, subject=b""))
                else:
                    yield from _unread(piece.unit, found.words)
            elif not isinstance(found, Failure):
                done.setdefault(piece, []).append(found)
                yield found
            elif found.why == "raised":
                yield from _failed(piece.after(done.get(piece, [])).unit, found.error, found.message)
            else:
                suspects.append(piece.after(done.get(piece, [])))
    for piece in suspects:
        yield from _alone(piece, _here)


def _alone(piece: Work, ask: Callable[[Work], _Answers]) -> Iterator[Record]:
    """Its first claim in a process of its own, then what comes after it. What ends before any claim is so at each."""
    while piece.unit.claims:
        one = piece.one_by_one()[0]
        found = ask(one)
        if found.unread is not None:
            yield from _unread(piece.unit, found.unread.words)
            return
        records, failure = found.records, found.failure
        if failure is not None and not records:
            let_in = found.let_in or not piece.validate
            records = _ended(one.unit if let_in else piece.unit, failure, piece.limits)
        yield from records
        piece = piece.after(records)
        if not piece.unit.claims:
            return
        found = ask(piece)
        yield from found.records
        piece = piece.after(found.records)
        if found.failure is not None and found.failure.why == "raised":
            yield from _failed(piece.unit, found.failure.error, found.failure.message)
            return


def _here(piece: Work) -> _Answers:
    start: Start = "fork" if piece.forked else "forkserver"
    return _answers(found for _, found in in_processes([piece.job()], 1, start=start))


def _ended(unit: Unit, failure: Failure, limits: Limits) -> list[Record]:
    if failure.why == "raised":
        return _failed(unit, failure.error, failure.message)
    if limits.over:
        return unit.not_asked(TIME_IS_UP)
    seconds = limits.seconds
    is_late = seconds is not None and failure.seconds > seconds
    return unit.crashed(f"{late(seconds)}; its process was ended" if is_late else failure.message)
