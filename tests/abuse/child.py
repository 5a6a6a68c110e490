"""One command line in a copy of this process, which has everything imported: its status, its words, what it left."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# seconds: after which a line that still works is interrupted as by Ctrl-C, and after which it hangs
WORKS, HANGS = 3.0, 60.0
# one of them is in what a refusal says
WORDS = ("what to type", "Usage", "Error: ")


@dataclass(frozen=True)
class Outcome:
    """What came of a line. status: negative for a signal. left: processes of its session that outlived it."""

    status: int
    out: str
    err: str
    seconds: float
    interrupted: bool
    hung: bool
    left: tuple[int, ...]


def warm() -> None:
    """Import what the commands import, so that a copy need not."""
    from importlib import import_module

    for name in (
        "commands.cli",
        "runner.run",
        "runner.targets",
        "report",
        "conformance.matrix",
        "conformance.find",
        "cost",
    ):
        import_module(f"odecheck.{name}")
    for name in ("pandas", "pyarrow.parquet", "jinja2", "odecheck.training.runs", "odecheck.tasks", "odecheck.bench"):
        import_module(name)


def run(typed: Sequence[str], place: Path, *, works: float = WORKS, hangs: float = HANGS) -> Outcome:
    """Run `odecheck TYPED` in a folder."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _be_the_command(typed, place, out.fileno(), err.fileno())
        status, interrupted, hung = _waited(pid, begun, works, hangs)
        left = _left(pid)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(2_000_000).decode("utf-8", "backslashreplace"))
    return Outcome(status, *texts, time.monotonic() - begun, interrupted, hung, left)


def _waited(pid: int, begun: float, works: float, hangs: float) -> tuple[int, bool, bool]:
    interrupted = hung = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), interrupted, hung
        spent = time.monotonic() - begun
        if spent > works and not interrupted:
            interrupted = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)
        if spent > hangs:
            hung = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _be_the_command(typed: Sequence[str], place: Path, out: int, err: int) -> None:
    code = 1
    try:
        for of_its_maker in list(weakref.finalize._registry):  # type: ignore[attr-defined]  its folders are not ours to delete
            of_its_maker.detach()
        os.setsid()
        os.chdir(place)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for ours, theirs in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(ours, theirs)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(file, "wb", closefd=False), "utf-8", errors, line_buffering=True)
            for file, errors in ((1, "strict"), (2, "backslashreplace"))
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["odecheck", *typed]
        from odecheck.commands.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
        os._exit(code)


def living(session: int) -> tuple[int, ...]:
    """The processes of a session that are no zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, _, _, its = stat.read_text().rsplit(")", 1)[1].split()[:4]
            found += [int(stat.parent.name)] if int(its) == session and state != "Z" else []
    return tuple(found)


def _left(session: int, patience: float = 10.0) -> tuple[int, ...]:
    """What is still there after some seconds; it is ended."""
    until = time.monotonic() + patience
    while (left := living(session)) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return left


def troubles(outcome: Outcome, canary: Path) -> list[str]:
    """What is wrong with an outcome, whatever was typed."""
    found = []
    if outcome.hung:
        found.append(f"hangs: no end after {outcome.seconds:.0f} s")
    elif outcome.status not in (0, 1, 2, 3, 130):
        found.append(f"left with status {outcome.status}")
    # a refusal of `watch` tells how the script ended
    told = outcome.status == 2 and outcome.err.startswith("odecheck: ") and "what to type" in outcome.err
    if "Traceback (most recent call last)" in outcome.err and not told:
        found.append(f"traceback: {outcome.err.strip().splitlines()[-1][:200]}")
    if outcome.status == 2 and not any(word in outcome.err + outcome.out for word in WORDS):
        found.append(f"refused without words: {outcome.err[-200:]!r}")
    if any(c in outcome.out + outcome.err for c in "\x1b\x07\x9b\u202e"):
        found.append("a control sequence reaches the terminal")
    if outcome.left:
        found.append(f"{len(outcome.left)} processes outlive it")
    if canary.exists():
        canary.unlink()
        found.append("a foreign statement was run")
    return found
