"""The one pool of processes: jobs by key, each with limits of its own; what crashes or hangs costs its own job alone.

A worker is one process with a pipe of its own. Started by a forkserver (or anew, where there is none) it does one job
after another; forked, with everything that this process has in memory, a changed package included, it does those of one
group. The time of a job is kept here as well, by the process that waits: a worker that is stopped cannot keep it.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from odecheck.foreign import said

from .limits import UNLIMITED, Limits
from .process_start import Start, context_of, not_in_a_worker_that_begins, quietly, would_run_the_script_again
from .worker import Asked, descendants, end_strays, serve

# seconds: more than a worker needs to end itself, to begin, and to take or give one message
SLACK, BEGIN, MESSAGE = 5.0, 300.0, 60


@dataclass(frozen=True, eq=False)
class Job:
    """Something to do under limits. For workers that are not forked, work, arguments and result are pickled.

    Args:
        key: What the result is called, of any type.
        work: Called as work(*arguments). Of a generator each part is a result, as it comes.
        arguments: Of the work.
        limits: Of time and memory; the time is of each part.
        patience: Seconds without a word after which the worker is ended; by default those of the limits, their grace
            and SLACK more.
        group: Of jobs that share what a worker remembers, something that they have in common: one worker does them
            one after another, for as long as there is other work for the others.
        read: Called before the work. What it changes of its process, as somebody's file does that is imported, stays
            for the rest of the group, and other jobs are not done there.
    """

    key: Any
    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    limits: Limits = UNLIMITED
    patience: float | None = None
    group: Any = None
    read: Callable[[], Any] | None = None

    @property
    def asked(self) -> Asked:
        """What a worker gets of it."""
        return self.work, self.arguments, self.limits, self.read

    @property
    def waits(self) -> float | None:
        """Seconds that the pool waits for a word of it; None: as long as it takes."""
        seconds = self.limits.seconds
        return self.patience if seconds is None or self.patience else seconds + self.limits.grace + SLACK


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Attributes:
        why: "raised" an exception, "late" for the clock, or "died": its process ended, by a crash, its limit of
            processor time or memory.
        message: The same in words.
        seconds: On the clock.
        error: The exception, where it could be sent.
        trace: Where it was raised.
    """

    why: Literal["raised", "late", "died"]
    message: str
    seconds: float = 0.0
    error: BaseException | None = None
    trace: str = ""


def in_processes(
    jobs: Iterable[Job], workers: int, *, start: Start = "forkserver", keep: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Do jobs in processes of their own. When the iteration is given up, what runs is killed.

    Args:
        jobs: All of them; a failure of one is no failure of another.
        workers: How many run at a time.
        start: "forkserver" for workers that know nothing of this process and are kept; "fork" for one process a group,
            or a job of none, which begins as a copy of this one.
        keep: Leave workers that rest to the next call in this process, with what they remember; they end with it.

    Yields:
        (key, result or Failure) of each job, as they end; of a generator (key, part) of each part, and a Failure where
        it did not end by itself.

    Raises:
        BadInput: Workers cannot begin, because they would run the script that starts them.
    """
    not_in_a_worker_that_begins()
    jobs = list(jobs)
    waiting, busy, idle = _Waiting(jobs), dict[Connection, _Worker](), list[_Worker]()
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = _resting(idle, waiting) or _worker(start, jobs, keep=keep)
                worker.give(waiting.next(worker.group, {other.group for other in busy.values()}))
                busy[worker.pipe] = worker
            for worker in _heard(list(busy.values())):
                job, news = worker.job, worker.news()
                if news is None:
                    continue
                if worker.resting or worker.ended:
                    del busy[worker.pipe]
                    idle += [worker] if worker.resting else []
                if news:
                    yield job.key, news[0]
    finally:
        kept = [worker for worker in idle if keep and not worker.bound]
        _KEPT.extend(kept)
        for worker in (*busy.values(), *idle):
            if worker not in kept:
                worker.end()


class _Waiting:
    """Jobs that nobody has begun, in groups, in the order in which they came."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.groups: dict[Any, deque[Job]] = {}
        for job in jobs:
            self.groups.setdefault(job if job.group is None else job.group, deque()).append(job)

    def __bool__(self) -> bool:
        return bool(self.groups)

    def next(self, own: Any, of_others: set[Any]) -> Job:
        """The next job of a worker: of its own group, else of one that is nobody's, else the first."""
        free = (group for group in self.groups if group not in of_others)
        group = own if own in self.groups else next(free, next(iter(self.groups)))
        job = self.groups[group].popleft()
        if not self.groups[group]:
            del self.groups[group]
        return job


def _resting(idle: list[_Worker], waiting: _Waiting) -> _Worker | None:
    """One that has done a job; those whose group has no more of them are ended."""
    while idle:
        worker = idle.pop()
        if not worker.bound or worker.group in waiting.groups:
            return worker
        worker.end()
    return None


def _worker(start: Start, jobs: Sequence[Job], *, keep: bool) -> _Worker:
    """One that rests since an earlier call, or a new one."""
    with suppress(IndexError):
        while keep and start == "forkserver":
            found = _KEPT.pop()
            if found.owner == os.getpid():  # others are those of a process that this one is a copy of
                return found
    return _Worker(start, jobs)


def _heard(workers: list[_Worker]) -> list[_Worker]:
    """The workers that have said something, or whose time is up; waits for one."""
    ends = [worker.until for worker in workers if worker.until is not None]
    left = max(0.0, min(ends) - time.monotonic()) if ends else None
    # the end of a process is heard although a child of its own still holds its pipe
    ready = connection.wait([one for worker in workers for one in worker.heard_by], left)
    now = time.monotonic()
    return [w for w in workers if any(one in ready for one in w.heard_by) or (w.until is not None and w.until <= now)]


class _Worker:
    """One process, seen from here."""

    def __init__(self, start: Start, jobs: Sequence[Job]) -> None:
        context = context_of(start)
        self.owner = os.getpid()
        self.ended = self.resting = self.begun = self.bound = False
        self.pipe, there = context.Pipe()
        _patient(self.pipe)
        self.until: float | None = None
        self.group: Any = None
        # a copy of this process has all jobs, and is told which one
        self.known = jobs if start == "fork" else None
        known = None if self.known is None else [job.asked for job in jobs]
        # not daemonic, so that a library may have processes of its own; whatever is left is ended at exit
        self.process: BaseProcess = context.Process(target=serve, args=(there, known))
        with quietly(context):
            self.process.start()
        there.close()
        _LIVING.add(self)

    def give(self, job: Job) -> None:
        self.job, self.since, self.resting, self.group = job, time.monotonic(), False, job.group
        self._wait(BEGIN if not self.begun else job.waits)
        with suppress(OSError):  # it is dead, which the end of its pipe says as well
            self.pipe.send_bytes(pickle.dumps(job.asked if self.known is None else self.known.index(job)))

    def _wait(self, seconds: float | None) -> None:
        self.until = None if seconds is None else time.monotonic() + seconds

    @property
    def heard_by(self) -> list[Any]:
        """What is ready where it has said something, or has ended."""
        return [self.pipe, self.process.sentinel]

    def news(self) -> tuple[Any, ...] | None:
        """What it has said: the result or a part of its job, nothing at the end of parts, None where it has begun."""
        if not self.pipe.poll():
            if connection.wait([self.process.sentinel], 0):
                return (self._died(),)
            self.end()
            return (self._failure("late", "no answer in time: its process was ended from outside"),)
        try:
            kind, *rest = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return (self._died(),)
        except Exception as error:  # a result whose class does not let itself be made again
            self.end()
            return (self._failure("raised", f"what it gave cannot be read: {said(error)}"),)
        self._wait(self.job.waits)
        if kind in ("begun", "part"):
            self.begun, self.since = True, time.monotonic()
            return (rest[0],) if rest else None
        found = self._failure(kind, rest[0], _loaded(rest[2]), rest[1]) if kind in ("late", "raised") else rest[0]
        self.bound = rest[-1] == "bound"
        if rest[-1] == "ends":
            self.end()
        self.resting = not self.ended
        return () if kind == "end" else (found,)

    def _failure(
        self, why: Literal["raised", "late", "died"], message: str, error: BaseException | None = None, trace: str = ""
    ) -> Failure:
        return Failure(why, message, time.monotonic() - self.since, error, trace)

    def _died(self) -> Failure:
        status = self.end()
        if not self.begun and status is not None and status > 0:
            raise would_run_the_script_again(status) from None
        how = _in_words(status) if self.begun else "it was ended before it began"
        return self._failure("died", f"the process died ({how})")

    def end(self) -> int | None:
        """End it, with what it has started; its exit status, as far as that is known."""
        if self.ended:
            return None
        self.ended, self.resting = True, False
        process = self.process
        # what has closed its end, or its sentinel, is about to end by itself, with a status of its own
        process.join(SLACK if connection.wait([process.sentinel], 0) or _at_its_end(self.pipe) else 0.0)
        status = process.exitcode
        pid = process.pid
        if pid is not None and hasattr(os, "killpg"):
            started = descendants(pid) if status is None else []
            with suppress(OSError):  # it is none of a group of its own yet, or all of it has ended
                os.killpg(pid, signal.SIGKILL)
            end_strays(pid, started)
        if status is None:
            process.kill()
            process.join()
        self.pipe.close()
        return status


def _at_its_end(pipe: Connection) -> bool:
    """Whether nobody is at the other end any more."""
    with suppress(OSError, EOFError):
        return bool(pipe.poll()) and not pipe.recv_bytes()
    return True


def _in_words(status: int | None) -> str:
    """How a process ended: a status, or minus a signal."""
    if status is None or status < 0:
        with suppress(ValueError):
            name = "" if status is None else f", {signal.Signals(-status).name}"
            return f"a crash in native code, or not enough memory{name}"
        return "a crash in native code, or not enough memory"
    return f"it left with status {status}, as os._exit({status}) does"


def _patient(pipe: Connection) -> None:
    """A message takes at most MESSAGE seconds: who is stopped in the midst of one is dead."""
    with suppress(OSError, ValueError, AttributeError), socket.socket(fileno=os.dup(pipe.fileno())) as shared:
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            shared.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", MESSAGE, 0))


def _loaded(pickled: bytes) -> BaseException | None:
    with suppress(Exception):  # an exception that takes other arguments than it keeps
        return pickle.loads(pickled) if pickled else None
    return None


_LIVING: weakref.WeakSet[_Worker] = weakref.WeakSet()
_KEPT: deque[_Worker] = deque()


@atexit.register
def _end_all() -> None:
    for worker in list(_LIVING):
        if worker.owner == os.getpid():  # in a forked worker there are those of its parent too
            worker.end()
