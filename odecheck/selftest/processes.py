"""Work in forked processes, each with a limit of its own: what crashes, hangs or never ends costs itself alone."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from typing import Any

import torch

PATIENCE = 40  # seconds on the wall for each of the processor, on a machine that others use too


def _child(pipe: connection.Connection, seconds: float, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
    # the threads of the parent's pool were not forked along: an operation that is shared among them would wait for ever
    torch.set_num_threads(1)
    signal.alarm(PATIENCE * (int(seconds) + 1))  # whatever else waits instead of working
    try:
        result = work(*arguments)
    except BaseException:
        result = RuntimeError(traceback.format_exc(limit=-3))
    pipe.send_bytes(pickle.dumps(result))
    pipe.close()


Job = tuple[str, float, Callable[..., Any], tuple[Any, ...]]


def forked(jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, Any]]:
    """(key, result) of jobs (key, limit in seconds of processor time, work, arguments), each in a forked process.

    A result is a RuntimeError where the work raised, and None where the process was ended by its limit or a crash.
    """
    context = get_context("fork")
    waiting, running = list(reversed(jobs)), {}
    while waiting or running:
        while waiting and len(running) < workers:
            key, seconds, work, arguments = waiting.pop()
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(there, seconds, work, arguments), daemon=True)
            process.start()
            there.close()
            running[here] = key, process
        for pipe in connection.wait(list(running)):
            assert isinstance(pipe, connection.Connection)
            key, process = running.pop(pipe)
            try:
                result = pickle.loads(pipe.recv_bytes())
            except EOFError:
                result = None
            pipe.close()
            process.join()
            yield key, result
