"""One process at a time works on a run: its folder is locked as long as that lives, and no longer."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput

# folders that this process has locked → file descriptor, and how often
_HELD: dict[str, tuple[int, int]] = {}


class Lock:
    """The lock of a folder, which is there. The same process may take it more than once.

    Where the system has no such locks, there is none.

    Args:
        folder: of a run.

    Raises:
        BadInput: another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.place = os.path.realpath(folder)
        self.released = False
        if self.place in _HELD:
            file, times = _HELD[self.place]
            _HELD[self.place] = file, times + 1
            return
        file = _locked(self.place)
        if file is None:
            self.released = True
            raise BadInput(
                f"another process is at work on the run in {folder}",
                "the same --run or --resume twice at a time",
                "another --run, or the same command when that process has ended",
            )
        _HELD[self.place] = file, 1

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self.released or self.place not in _HELD:
            return
        self.released = True
        file, times = _HELD[self.place]
        if times > 1:
            _HELD[self.place] = file, times - 1
            return
        del _HELD[self.place]
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the interpreter
            self.release()


def _locked(place: str) -> int | None:
    """A descriptor that holds the lock; −1 where there are no locks, None where another process has it."""
    try:
        locks: Any = import_module("fcntl")
        file = os.open(place, os.O_RDONLY)
    except (ImportError, OSError):
        return -1
    try:
        locks.flock(file, locks.LOCK_EX | locks.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:  # a file system without locks
        pass
    return file
