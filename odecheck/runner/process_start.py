"""How other processes begin: by a forkserver or as copies, out of the working folder, and not from their own script."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal, cast

from odecheck.errors import BadInput

from . import server

Start = Literal["forkserver", "fork"]
CAN_FORK = "fork" in multiprocessing.get_all_start_methods()


def context_of(start: Start) -> Any:
    """The context of multiprocessing that a way to start has."""
    # a fork of this process would lack the threads of torch that this one has
    return multiprocessing.get_context("fork") if start == "fork" else server.context()


@contextmanager
def quietly(context: Any) -> Generator[None]:
    """Around the start of a process: it does not look into the working folder, and a fork beside threads is meant.

    A new process is told where its modules are. A copy of this process computes in its one thread alone, and libraries
    warn of all forks beside threads of theirs.
    """
    with server.safe_path(), warnings.catch_warnings():
        if context.get_start_method() == "fork":
            warnings.filterwarnings("ignore", message=r".*\bfork\(\)")
        elif context.get_start_method() == "forkserver":
            server.begin()
        yield


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
