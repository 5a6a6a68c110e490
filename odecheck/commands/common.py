"""What the commands share: run folders, refusals, cores, a progress bar."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from odecheck.foreign import for_terminal, literal

RUNS = Path("runs")
INTERRUPTED = 130
# more processes than that no machine has cores for
MOST_WORKERS = 1024
Workers = Annotated[int, typer.Option(metavar="N", min=0, max=MOST_WORKERS, help="Processes; 0: one for each core.")]


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print what may hold text of other people: control characters are spelt out.

    Args:
        text: one or more lines.
        err: to the standard error.
        nl: with a line break at the end.
    """
    try:
        typer.echo(for_terminal(text), err=err, nl=nl)
    except BrokenPipeError:  # nobody reads on: the work, its files and its exit status are the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2 if err else 1)


def tell_damage(folder: Path, facts: Mapping[str, Any], damaged: Sequence[str]) -> None:
    """Say on the standard error what of a run is not as it was written, or cannot be known to be."""
    from odecheck.records.facts import CHECKSUM, changed
    from odecheck.records.run_folder import without_checksums

    trouble = changed(facts)
    for what in (*damaged, *([f"run.json {trouble}"] if trouble else [])):
        say(f"odecheck: the run in {folder} is damaged: {what}", err=True)
    if CHECKSUM not in facts or without_checksums(folder):
        say(
            f"odecheck: the run in {folder} has no checksums: a change in it since it was written goes unseen", err=True
        )


def refuse(refused: Exception) -> NoReturn:
    """Say what is refused, and exit with status 2."""
    say(f"odecheck: {refused}", err=True)
    raise typer.Exit(2)


def needs(extra: str, *modules: str) -> None:
    """Refuse a command whose extra is missing, before anything else is loaded for it."""
    from odecheck.errors import BadInput, needed

    try:
        needed(extra, *modules)
    except BadInput as refused:
        refuse(refused)


def check_device(device: str) -> None:
    """Raises BadInput for a device that is not here, before anything is loaded or written for it."""
    import torch

    from odecheck.errors import BadInput

    kind, _, number = device.partition(":")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (kind == "cuda" and (number or "0").isdecimal() and int(number or 0) < there):
        return
    if kind != "cuda":
        raise BadInput(f"there is no device {device!r}", "a misspelt name", "--device cpu or --device cuda")
    cause = f"there are {there} GPUs, counted from 0" if there else "no GPU, or a torch without CUDA"
    raise BadInput(f"there is no device {device!r} here", cause, "--device cpu")


def needs_to_write(path: str | Path | None, option: str, *, folder: bool = True) -> None:
    """Raises BadInput where `path` cannot be written, as a folder or as a file in one, before any work for it is done.

    Nothing is left there. None and "-" are always right.
    """
    from odecheck.errors import BadInput

    if path is None or str(path) == "-":
        return
    path, kind = Path(path), "DIR" if folder else "FILE"
    try:
        _try_to_write(path, folder)
    except OSError as error:
        raise BadInput(
            f"cannot write {option} {path}: {error.strerror or error}",
            "a file where a folder belongs or the other way round, or a place that is not yours",
            f"{option} {kind}, with a {'folder' if folder else 'file'} that you may write",
        ) from None


def _try_to_write(path: Path, folder: bool) -> None:
    there = path if folder else path.parent
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is not a folder")
    if not folder and path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not folder and os.path.lexists(path):
        if not _takes_bytes(path):
            raise OSError(errno.EINVAL, "it is no regular file")
        path.open("ab").close()
    else:
        tempfile.TemporaryFile(dir=there).close()


def _takes_bytes(path: Path) -> bool:
    """Whether a file can be written without somebody who reads it: all but pipes and sockets, those of /dev aside."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode) or str(path.absolute()).startswith(("/dev/", "/proc/"))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def new_run() -> Path:
    """A folder of `runs` that is not there yet, named by the time and by chance."""
    from datetime import datetime

    # two that begin in one second do not meet
    return RUNS / f"{datetime.now():%Y-%m-%d-%H%M%S}-{secrets.token_hex(3)}"


def last_run(*kinds: str) -> Path:
    """The last run in runs/, or the last that is of one of these commands. Raises BadInput where none of them is."""
    from odecheck.errors import BadInput
    from odecheck.records.run_folder import kind_of, read_facts

    for path in sorted(RUNS.glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(BadInput):  # a damaged one, or of another version
            if not kinds or kind_of(read_facts(path.parent)) in kinds:
                return path.parent
    if not kinds:
        return RUNS / "none"
    raise BadInput(
        f"there is no run of odecheck {' or '.join(kinds)} in {RUNS.absolute()}",
        "another folder than the one it was started in, a run that was kept elsewhere, or no run yet",
        f"--run DIR, DIR the folder of a run, or first odecheck {kinds[0]}",
    )


def run_folder(run: Path | None, resume: bool, kind: str) -> Path:
    """Where a run goes: --run or a new folder; with --resume the run in --run or the last one, of this command.

    Raises BadInput where there is nothing to resume, a run of another command, or where --run cannot be written.
    """
    from odecheck.errors import BadInput
    from odecheck.records.run_folder import read_facts, same_kind

    if resume and run is None:
        return last_run(kind)
    folder = run or new_run()
    if resume and not (folder / "run.json").exists():
        raise BadInput(
            f"there is no run in {folder} to go on with",
            "another folder, or a run that ended before it began",
            f"the same command without --resume, which begins it, or --run with the folder of a run of odecheck {kind}",
        )
    if resume:
        same_kind(folder, read_facts(folder), kind)
    needs_to_write(folder, "--run")
    return folder


def interrupted(folder: Path | None) -> NoReturn:
    """What to type after Ctrl-C, and exit status 130."""
    if folder is not None and (folder / "run.json").exists():
        say(f"Interrupted. To go on, type the same command with: --run {folder} --resume", err=True)
    else:
        say("Interrupted before anything was done: nothing was kept.", err=True)
    raise typer.Exit(INTERRUPTED)


def number(count: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def named(**texts: str) -> str:
    """The names that were asked for, in words: a problem with 'xyz' in its name."""
    asked = [f"a {what} with {literal(text)} in its name" for what, text in texts.items() if text]
    return " and ".join(asked) or "anything in it"
