"""What a case may take, seconds and memory, and what it prints: for workers, whose library may be anybody's."""

from __future__ import annotations

import ctypes
import faulthandler
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from odecheck.errors import BadInput

GIB = 2**30
SHOWN = 300
# a century and an exabyte: what the system's own limits can be told
LONGEST, LARGEST = 3.2e9, 2.0**60
# a timer of 0 is none
SHORTEST = 1e-3
TIME_IS_UP = "the time that was given was up"


@dataclass(frozen=True)
class Limits:
    """What one case may take. None: without limit.

    Args:
        seconds: Of the clock.
        memory: Bytes of a whole worker; enforced where the system can (`RLIMIT_DATA`, Linux), elsewhere not.
        grace: Seconds more, in which Python is interrupted again and again, before the process is ended.
        cpu: Seconds of processor time, at the end of which the process is ended.
        until: When the time for all cases together is up, as `time.time()` says it: what has no answer by then was not
            asked.

    Raises:
        BadInput: A limit that is not positive, or larger than any system takes.
    """

    seconds: float | None = None
    memory: float | None = None
    grace: float = 5.0
    cpu: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for name, most in (("seconds", LONGEST), ("memory", LARGEST), ("cpu", LONGEST)):
            value = getattr(self, name)
            if value is None or (0 < value <= most and (name != "memory" or value >= 1)):
                continue
            option, one, unit = ("--memory", 6, "bytes") if name == "memory" else ("--timeout", 120, "seconds")
            beyond = f", and at most {most:g} {unit}" if value > most else ""
            raise BadInput(
                f"the limit of {name} is {value}; it has to be positive{beyond}",
                "a number that was meant as no limit: 0, a negative or a huge one",
                f"{option} {one}, or no {option}; in Python None is no limit",
            )
        if self.memory is not None:
            object.__setattr__(self, "memory", int(self.memory))

    @property
    def over(self) -> bool:
        """Whether the time for all cases is up."""
        return self.until is not None and time.time() >= self.until

    @property
    def left(self) -> float | None:
        """Seconds that the next case may take, of its own limit and of the time for all; None: without limit."""
        rest = None if self.until is None else max(self.until - time.time(), SHORTEST)
        return min((x for x in (self.seconds, rest) if x is not None), default=None)


UNLIMITED = Limits()


class OutOfTime(BaseException):
    """The time of a case is up. No Exception, so that a library does not catch it with its own errors."""


@contextmanager
def within(seconds: float | None, grace: float = 5.0) -> Generator[None]:
    """Raise OutOfTime in this block after so many seconds; in the main thread of a process only.

    A block that swallows it is told again every second. One that never comes back to Python, or goes on all the same,
    ends the process after `grace` more seconds, which whoever waits for it sees as its death.

    Args:
        seconds: Of the clock; None: without limit.
        grace: Seconds more before the process is ended.

    Yields:
        Nothing; the time ends with the block.

    Raises:
        OutOfTime: The time is up.
    """
    if seconds is None:
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds + grace, exit=True, file=nowhere)
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, before)


def limit_memory(memory: float | None) -> None:
    """Give this process no more memory than so much; more is a MemoryError or a RuntimeError of torch.

    Args:
        memory: Bytes; None: without limit.
    """
    with suppress(ImportError, ValueError, OSError):  # no such limit on this system, or a lower one is in force
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard if memory is None else int(memory), hard))


def limit_cpu(seconds: float | None) -> None:
    """Give this process so much more processor time; then the system ends it.

    Args:
        seconds: From now on; None: without limit.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        end = hard if seconds is None else math.ceil(usage.ru_utime + usage.ru_stime + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (end, hard))


class Printed:
    """Catches what this process prints to its standard output, Python's and that of native code."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self.seen = 0

    def __enter__(self) -> Printed:
        _flush()
        self.kept = os.dup(1)
        os.dup2(self.file.fileno(), 1)
        return self

    def __exit__(self, *_: object) -> None:
        _flush()
        os.dup2(self.kept, 1)
        os.close(self.kept)
        self.file.close()

    def take(self) -> str:
        """What was printed since the last call.

        Returns:
            Its beginning, on one line.
        """
        _flush()
        size = os.fstat(self.file.fileno()).st_size
        if size == self.seen:
            return ""
        self.file.seek(self.seen)
        text = self.file.read(4 * SHOWN).decode(errors="replace")
        self.file.seek(size)
        self.seen = size
        shown = " ".join(text.split())
        return shown if len(shown) <= SHOWN else shown[:SHOWN] + " …"


def _flush() -> None:
    with suppress(Exception):  # a library may have closed or replaced it
        sys.stdout.flush()
    with suppress(Exception):
        ctypes.CDLL(None).fflush(None)
