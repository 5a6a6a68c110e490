"""The forkserver of the pool, of which every worker is a copy. This module loads nothing, so that it can begin first.

What it loads takes seconds, as what the process that starts it loads does: begun at once, both load at the same time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Any

# tells a new Python not to look into the working folder; and the value by which a worker knows whose doing that is
SAFE_PATH, OURS = "PYTHONSAFEPATH", "odecheck"
# what a forkserver imports, once for all its workers
PRELOADED = ["odecheck.runner.preloaded"]


def context() -> Any:
    """The context of multiprocessing whose workers are copies of one process that imports torch once.

    Returns:
        A forkserver's, or one that starts every process anew where there is none.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found


@contextmanager
def safe_path() -> Generator[None]:
    """A process that is started here does not look for modules in the working folder, which may hold a torch.py."""
    safe = SAFE_PATH in os.environ
    os.environ.setdefault(SAFE_PATH, OURS)
    try:
        yield
    finally:
        if not safe:
            os.environ.pop(SAFE_PATH, None)


def begin_early() -> None:
    """Let the forkserver begin to load, without waiting for it; nothing where there is none."""
    if context().get_start_method() == "forkserver":
        with safe_path():
            begin()


def begin() -> None:
    """Begin the forkserver where there is none yet.

    Ctrl-C is no matter of it, and it inherits what is blocked here; what comes meanwhile comes later.
    """
    resource_tracker.ensure_running()  # which would let it through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    except ChildProcessError:  # this process is a copy of one that has a server, which is that one's
        _forget()
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget() -> None:
    server: Any = vars(forkserver)["_forkserver"]
    server._forkserver_pid = server._forkserver_address = server._forkserver_alive_fd = None
