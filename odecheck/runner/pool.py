"""Units of work in other processes: in a pool of our own, or through anybody's `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.process import BaseProcess

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.instruments.unit_of_work import unit_of_work
from odecheck.record import Record

from .case import Unit
from .limits import Limits, OutOfTime, Printed, limit_memory, within

UNLIMITED = Limits()


@dataclass(frozen=True, eq=False)
class Work:
    """A unit, and its subject and problem as bytes, pickled once: equal bytes are one problem to a worker."""

    unit: Unit
    subject: bytes
    problem: bytes
    seed: int
    validate: bool
    limits: Limits = UNLIMITED

    def submit(self, executor: Executor) -> Future[list[Record]]:
        claims = pickle.dumps(self.unit.claims)
        return executor.submit(_perform, self.subject, self.problem, claims, self.seed, self.validate, self.limits)

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


def _records(future: Future[list[Record]], unit: Unit) -> list[Record]:
    """What came back: records; BadInput is raised; any other failure is that of the worker, and makes records too."""
    error = future.exception()
    if error is None or isinstance(error, BadInput):
        return future.result()
    return unit.crashed(f"the worker failed: {type(error).__name__}: {error}")


def through(executor: Executor, work: Sequence[Work]) -> Iterator[Record]:
    """Records as they come from anybody's executor. A unit whose worker failed gives records of errors."""
    running = {piece.submit(executor): piece for piece in work}
    try:
        for future in as_completed(running):
            yield from _records(future, running[future].unit)
    finally:
        for future in running:
            future.cancel()


def in_processes(work: Sequence[Work], workers: int) -> Iterator[Record]:
    """Records as they come from a pool of our own.

    When a worker dies, nobody knows which of the running units killed it: each is run again by itself, claim by claim,
    and what dies again gives the record of an error.
    """
    waiting = deque(work)
    while waiting:
        suspects: list[Work] = []
        yield from _until_broken(waiting, workers, suspects)
        for piece in (single for suspect in suspects for single in suspect.one_by_one()):
            again: list[Work] = []
            begun = time.monotonic()
            yield from _until_broken(deque([piece]), 1, again)
            seconds = piece.limits.seconds
            late = seconds is not None and time.monotonic() - begun > seconds
            died = "the process died (a crash in native code, or not enough memory)"
            for dead in again:
                yield from dead.unit.crashed(f"{_late(seconds)}; its process was ended" if late else died)


def _until_broken(waiting: deque[Work], workers: int, suspects: list[Work]) -> Iterator[Record]:
    """Run what waits, at most one unit for each worker at a time, until all is done or the pool breaks."""
    pool = _pool(workers, waiting[0].limits.memory)
    running: dict[Future[list[Record]], Work] = {}
    ended = False
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                piece = waiting.popleft()
                running[piece.submit(pool)] = piece
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                piece = running.pop(future)
                if isinstance(future.exception(), BrokenExecutor):
                    suspects.append(piece)
                else:
                    yield from _records(future, piece.unit)
            if suspects:  # all that runs ends at once, some perhaps with a result
                for future in wait(running).done:
                    if isinstance(future.exception(), BrokenExecutor):
                        suspects.append(running[future])
                    else:
                        yield from _records(future, running[future].unit)
                break
        ended = True
    finally:
        _close(pool, kill=not ended)


def _pool(workers: int, memory: int | None) -> ProcessPoolExecutor:
    # a forkserver imports torch once and each worker is a copy of it; processes are never forked off this one, whose
    # threads would not survive
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(memory,))


def _begin(memory: int | None) -> None:
    """A worker keeps to its memory, leaves Ctrl-C to its parent, and ends when the parent is gone."""
    limit_memory(memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _close(pool: ProcessPoolExecutor, *, kill: bool) -> None:
    living: dict[int, BaseProcess] | None = getattr(pool, "_processes", None)
    processes = list((living or {}).values())
    pool.shutdown(wait=not kill, cancel_futures=True)
    if kill:
        for process in processes:
            process.kill()
