"""What a worker of the pool does: it says that it has begun, then answers one job after another through its pipe.

A job leaves its worker as it found it, or the worker ends: the next job shall not see what this one changed. What was
changed by reading what a job is about, before it was done, is the same for all jobs of its group, and for them alone.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, cast

import torch

from odecheck.foreign import said
from odecheck.instruments.surroundings import Surroundings

from .limits import Limits, OutOfTime, limit_cpu, limit_memory, within
from .server import OURS, SAFE_PATH

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# in the environment of a worker, by which what it starts is known wherever that goes; its value is its process id
MARK = "ODECHECK_WORKER"
# of a worker that was given memory for its job alone, so much may be left behind by it
KEPT = 0.25

# work, its arguments, limits, and what reads before the work
Asked = tuple[Callable[..., Any], tuple[Any, ...], Limits, Callable[[], Any] | None]
# what becomes of a worker after a job: any other one, those of its group, none
After = Literal["free", "bound", "ends"]


def serve(pipe: Connection, known: Sequence[Asked] | None) -> None:
    """The main function of a worker.

    Messages are ("begun",), ("part", one of a generator's), ("done", result, after), ("end", None, after) after the
    parts, and ("late" or "raised", words, trace, pickled exception, after).

    Args:
        pipe: To the process that asks.
        known: The jobs of which a number comes through the pipe; None where they come themselves.
    """
    _begin()
    with suppress(EOFError, OSError):  # who asks has gone
        pipe.send_bytes(pickle.dumps(("begun",)))
        bound, goes_on = known is not None, True
        while goes_on:
            bound, goes_on = _answer(pipe, pipe.recv_bytes(), known, bound=bound)


def _begin() -> None:
    """A worker prints nowhere, has one thread of torch, leaves Ctrl-C to its parent, and ends when that is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    # of the pool of threads of a parent nothing was forked along: a shared operation would wait for ever
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]
    with suppress(OSError, AttributeError):  # a group of its own, with what it starts: they are ended together
        os.setpgid(0, 0)
    os.environ[MARK] = str(os.getpid())
    with suppress(Exception):  # Linux: also where it is stopped, or never comes back from native code
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(Exception):  # Linux: whoever loses its parent becomes its child, so all that it starts descends of it
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with suppress(OSError):  # Linux: where memory runs out, a worker is ended before whoever waits for it
        Path("/proc/self/oom_score_adj").write_text("700")
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    end_strays(os.getpid(), descendants(os.getpid()))
    with suppress(OSError, AttributeError):
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
    os._exit(1)


def descendants(process: int) -> list[int]:
    """Process ids of its children, and of theirs; none where the system does not tell (it does on Linux)."""
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def end_strays(worker: int, known: Iterable[int] = ()) -> None:
    """End what a worker has started and what has left its group since, where the system tells (Linux).

    Args:
        worker: Its process id.
        known: Its descendants while it lived: one that is just about to begin another program shows no mark.
    """
    for pid in known:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    mark = f"{MARK}={worker}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            pid = int(environment.parent.name)
            if mark in environment.read_bytes().split(b"\0") and pid != worker:
                os.kill(pid, signal.SIGKILL)


def _answer(pipe: Connection, message: bytes, known: Sequence[Asked] | None, *, bound: bool) -> tuple[bool, bool]:
    """Do a job and send what comes of it. Whether the worker is bound now, and whether it waits for another or its end.

    One that has children does not end by itself: while it lives, it is known whose they are.
    """
    before, weight, limits = Surroundings(), _bytes(), Limits()

    def run() -> tuple[str, Any]:
        nonlocal limits, before, bound
        asked = pickle.loads(message)
        work, arguments, limits, read = cast(Asked, asked if known is None else known[asked])
        limit_memory(limits.memory)
        limit_cpu(limits.cpu)
        if read is not None:
            with within(limits.seconds, limits.grace):
                read()
            bound, before = bound or bool(before.changed()), Surroundings()
        return _limited(work, arguments, limits, lambda part: pipe.send_bytes(pickle.dumps(("part", part))))

    found = _answered(run)
    limit_memory(None)
    limit_cpu(None)
    grown = limits.memory is not None and _bytes() - weight > KEPT * limits.memory
    children = _has_children()
    last = bool(before.restore()) or grown or children
    after: After = "ends" if last else "bound" if bound else "free"
    pipe.send_bytes(pickle.dumps((*found, after)))
    return bound, children or not last


def _limited(
    work: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits, send: Callable[[Any], None]
) -> tuple[str, Any]:
    with within(limits.seconds, limits.grace):
        found = work(*arguments)
    if not isinstance(found, Iterator):
        return "done", found
    parts = cast("Iterator[Any]", found)
    while True:  # the seconds are of each part
        with within(limits.seconds, limits.grace):
            try:
                part = next(parts)
            except StopIteration:
                return "end", None
        send(part)


def _answered(run: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """What came of it: what `run` gives, or (why, words, trace, the exception pickled once more).

    No class of this package but in a result: a forked worker may have loaded another one since.
    """
    try:
        found = run()
        pickle.dumps(found)
        return found
    except OutOfTime:
        return "late", "no answer in time", "", b""
    except BaseException as error:
        trace = "".join(traceback.format_tb(error.__traceback__, limit=-3))
        try:
            pickled = pickle.dumps(error)
        except Exception:
            pickled = b""
        return "raised", said(error), trace, pickled


def _bytes() -> int:
    """Of memory that this process has for itself; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _has_children() -> bool:
    return bool(descendants(os.getpid()) or multiprocessing.active_children())
