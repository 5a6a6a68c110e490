"""How other processes begin: by a forkserver or as copies, out of the working folder, and not from their own script."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Any, Literal, cast

from odecheck.compat import OF_FORWARD_MODE
from odecheck.errors import BadInput

from .worker import OURS, SAFE_PATH

Start = Literal["forkserver", "fork"]
# what a forkserver imports, once for all its workers: a worker that imports what changes warnings in its first job
# would end with it, and with all that it remembers
PRELOADED = ["odecheck.runner.units", OF_FORWARD_MODE]


def context_of(start: Start) -> Any:
    """The context of multiprocessing that a way to start has."""
    if start == "fork":
        return multiprocessing.get_context("fork")
    # a forkserver imports torch once and each worker is a copy of it; a fork of this process would lack the threads
    # of torch that this one has
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@contextmanager
def quietly(context: Any) -> Generator[None]:
    """Around the start of a process: it does not look into the working folder, and a fork beside threads is meant.

    That folder may hold a torch.py; a new process is told where its modules are. A copy of this process computes in its
    one thread alone, and libraries warn of all forks beside threads of theirs.
    """
    safe = SAFE_PATH in os.environ
    os.environ.setdefault(SAFE_PATH, OURS)
    try:
        with warnings.catch_warnings():
            if context.get_start_method() == "fork":
                warnings.filterwarnings("ignore", message=r".*\bfork\(\)")
            elif context.get_start_method() == "forkserver":
                _begin_server()
            yield
    finally:
        if not safe:
            os.environ.pop(SAFE_PATH, None)


def _begin_server() -> None:
    """Ctrl-C is no matter of the forkserver, which inherits what is blocked here; what comes meanwhile comes later."""
    resource_tracker.ensure_running()  # which would let it through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    except ChildProcessError:  # this process is a copy of one that has a server, which is that one's
        _forget_server()
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget_server() -> None:
    server: Any = vars(forkserver)["_forkserver"]
    server._forkserver_pid = server._forkserver_address = server._forkserver_alive_fd = None


def not_in_a_worker_that_begins() -> None:
    """End a process that runs the script of its parent anew and comes to where that starts others."""
    # such a process runs the script of its parent anew, whose next line this is: quietly, the parent says it
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)


def would_run_the_script_again(status: int) -> BadInput:
    """The refusal of a script that starts processes at its top level; status: with which such a process ended."""
    file = cast("str | None", getattr(sys.modules.get("__main__"), "__file__", None))
    return BadInput(
        f"no other process can be started: it ended with status {status} while it ran "
        f"{file or 'what this one was started with'} once more, as every new process does with the script it is of",
        'a script that starts the work at its top level, and not below `if __name__ == "__main__":`',
        'if __name__ == "__main__":\n      odecheck.check(..., workers=2)\n'
        "    or workers=1, which works in the script's own process",
    )
