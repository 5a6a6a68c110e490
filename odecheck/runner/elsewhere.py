"""Jobs through anybody's `concurrent.futures.Executor`: each in a process of its own on the worker that it comes to."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.foreign import said

from .pool import Failure, Job, in_processes


def in_executor(executor: Executor, jobs: Iterable[Job]) -> Iterator[tuple[Any, Any]]:
    """Do jobs on the workers of an executor, as `in_processes` does them here.

    A job whose worker has gone, with or without its executor, is done by a process of this computer. What was not
    begun when the iteration is given up is cancelled.

    Args:
        executor: Any `concurrent.futures.Executor`.
        jobs: All of them; work, arguments and results are pickled. A worker finds modules where this process does.

    Yields:
        (key, result or Failure) of each job, as they end; of a generator its parts, together at its end.
    """
    running = {executor.submit(on_worker, carried(job)): job for job in jobs}
    try:
        for future in as_completed(running):
            job = running[future]
            if future.exception() is not None:
                yield from in_processes([job], 1)
                continue
            for found in future.result():
                yield job.key, found
    finally:
        for future in running:
            future.cancel()


def result_of(key: str, found: Any) -> Any:
    """What a job gave, where nothing but an answer will do.

    Args:
        key: What it is called in a refusal.
        found: Its result or Failure.

    Raises:
        BadInput: Its process died.
        Exception: What the job raised, as it was where it could be sent.
    """
    if not isinstance(found, Failure):
        return found
    if found.why != "raised":
        raise BadInput(
            f"{key}: {found.message}", "a crash, or not enough memory where it ran", "the same command with --resume"
        )
    raise found.error or RuntimeError(f"{key}: {found.message}\n{found.trace}")


def on_worker(job: Job) -> list[Any]:
    """What comes of a job on the worker of somebody's executor, which no work and no limit may harm.

    Args:
        job: As `carried` makes it.

    Returns:
        Its result or Failure; of a generator all its parts, and the Failure that ended it, if one did.
    """
    here = multiprocessing.current_process()
    if here.daemon:  # as a cluster's nanny starts its workers; they may have no processes of their own then
        here.daemon = False
    return [found for _, found in in_processes([job], 1, keep=True)]


def carried(job: Job) -> Job:
    """The same job for another computer's process, or one that has not this one's search path for modules.

    Args:
        job: Its key stays here.

    Raises:
        BadInput: Its work or its arguments cannot be pickled.
    """
    path = [folder for folder in sys.path if Path(folder).is_absolute()]
    try:
        pickled = pickle.dumps((job.work, job.arguments))
    except Exception as error:
        raise BadInput(
            f"{job.key!s} cannot be sent to another process: {said(error)}",
            "a lambda, or a class that is defined inside a function",
            "define it at the top level of a module, or the same command without --scheduler",
        ) from error
    # as bytes, which are read after the search path is there
    return replace(job, key=None, work=_found, arguments=(path, pickled), read=None)


def _found(path: Sequence[str], pickled: bytes) -> Any:
    """A job, of what is to be found in the folders where it was pickled too, after those of this process."""
    sys.path += [folder for folder in path if folder not in sys.path]
    work, arguments = pickle.loads(pickled)
    return work(*arguments)
