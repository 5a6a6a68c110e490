"""The one pool of processes: jobs by key, each with limits of its own; what crashes or hangs costs its own job alone.

A worker is one process with a pipe of its own. Started by a forkserver (or anew, where there is none) it does one job
after another; forked, it does one, with everything that this process has in memory, a changed package included.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import torch

from .limits import UNLIMITED, Limits, OutOfTime, limit_cpu, limit_memory, within

Start = Literal["forkserver", "fork"]


@dataclass(frozen=True, eq=False)
class Job:
    """work(*arguments) under limits. key: what the result is called, of any type.

    For workers that are not forked, work, arguments and result are pickled.
    """

    key: Any
    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    limits: Limits = UNLIMITED


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    why: "raised" an exception, "late" for the clock, or "died": its process ended, by a crash, its limit of processor
    time or memory. message: in words. seconds: on the clock. error: the exception, where it could be sent; trace: where
    it was raised.
    """

    why: Literal["raised", "late", "died"]
    message: str
    seconds: float = 0.0
    error: BaseException | None = None
    trace: str = ""


def in_processes(jobs: Iterable[Job], workers: int, *, start: Start = "forkserver") -> Iterator[tuple[Any, Any]]:
    """(key, result or Failure) of each job, as they end; at most `workers` run at a time.

    Args:
        jobs: all of them; a failure of one is no failure of another.
        workers: processes.
        start: "forkserver" for workers that know nothing of this process and are kept; "fork" for one process a job,
            which begins as a copy of this one.

    When the iteration is given up, what runs is killed.
    """
    waiting, busy, idle = deque(jobs), dict[Connection, _Worker](), list[_Worker]()
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else _Worker(start)
                worker.give(waiting.popleft())
                busy[worker.pipe] = worker
            for pipe in connection.wait(list(busy)):
                assert isinstance(pipe, Connection)
                worker = busy.pop(pipe)
                job, result = worker.take()
                if not worker.ended:
                    idle.append(worker)
                yield job.key, result
    finally:
        for worker in (*busy.values(), *idle):
            worker.end()


class _Worker:
    """One process, seen from here."""

    def __init__(self, start: Start) -> None:
        self.context = _context(start)
        self.forked = start == "fork"
        self.ended = False
        self.pipe, self._there = self.context.Pipe()
        self.process: BaseProcess | None = None
        if not self.forked:
            self._begin(None)

    def _begin(self, job: Job | None) -> None:
        # not daemonic, so that a library may have processes of its own; whatever is left is ended at exit
        process: BaseProcess = self.context.Process(target=_serve, args=(self._there, job))
        process.start()
        self.process = process
        self._there.close()
        _LIVING.add(self)

    def give(self, job: Job) -> None:
        self.job, self.begun = job, time.monotonic()
        if self.forked:
            self._begin(job)
            return
        with suppress(OSError):  # it is dead, which the end of its pipe says as well
            self.pipe.send_bytes(pickle.dumps((job.work, job.arguments, job.limits)))

    def take(self) -> tuple[Job, Any]:
        """The job and its result; waits for it."""
        try:
            answer = pickle.loads(self.pipe.recv_bytes())
            self.ended = self.forked
        except (EOFError, OSError):
            answer = "died", "the process died (a crash in native code, or not enough memory)", "", b""
            self.ended = True
        if self.ended and self.process is not None:
            self.pipe.close()
            self.process.join()
        if not answer[0]:
            return self.job, answer[1]
        why, words, trace, pickled = answer
        return self.job, Failure(why, words, time.monotonic() - self.begun, _loaded(pickled), trace)

    def end(self) -> None:
        if self.process is not None and not self.ended:
            self.ended = True
            self.process.kill()
            self.process.join()
            self.pipe.close()


def _loaded(pickled: bytes) -> BaseException | None:
    with suppress(Exception):  # an exception that takes other arguments than it keeps
        return pickle.loads(pickled) if pickled else None
    return None


_LIVING: weakref.WeakSet[_Worker] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    # in a forked worker these are the workers of its parent
    for worker in list(_LIVING) if multiprocessing.parent_process() is None else ():
        worker.end()


def _context(start: Start) -> Any:
    if start == "fork":
        return multiprocessing.get_context("fork")
    # a forkserver imports torch once and each worker is a copy of it; a fork of this process would lack the threads
    # of torch that this one has
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["odecheck.runner.units"])
    return context


# --- in the worker -------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, job: Job | None) -> None:
    _begin()
    if job is not None:
        pipe.send_bytes(_answered(lambda: _limited(job.work, job.arguments, job.limits)))
        return
    while True:
        try:
            asked = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(_answered(lambda asked=asked: _limited(*pickle.loads(asked))))


def _begin() -> None:
    """A worker prints nowhere, has one thread of torch, leaves Ctrl-C to its parent, and ends when that is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    # of the pool of threads of a parent nothing was forked along: a shared operation would wait for ever
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _limited(work: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits) -> Any:
    limit_memory(limits.memory)
    limit_cpu(limits.cpu)
    with within(limits.seconds, limits.grace):
        return work(*arguments)


def _answered(run: Callable[[], Any]) -> bytes:
    """What came of it, pickled: ("", result) or (why, words, trace, the exception pickled once more).

    No class of this package but in a result: a forked worker may have loaded another one since.
    """
    try:
        return pickle.dumps(("", run()))
    except OutOfTime:
        return pickle.dumps(("late", "no answer in time", "", b""))
    except BaseException as error:
        words, trace = f"{type(error).__name__}: {error}", traceback.format_exc(limit=-3)
        try:
            pickled = pickle.dumps(error)
        except Exception:
            pickled = b""
        return pickle.dumps(("raised", words, trace, pickled))
