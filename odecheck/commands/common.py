"""What the commands share: run folders, refusals, cores, a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from ..record import Record

RUNS = Path("runs")
INTERRUPTED = 130


def refuse(refused: Exception) -> NoReturn:
    typer.echo(f"odecheck: {refused}", err=True)
    raise typer.Exit(2)


def check_device(device: str) -> None:
    """Raises BadInput for a device that is not here, before anything is loaded or written for it."""
    import torch

    from ..door import BadInput

    kind, _, number = device.partition(":")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (kind == "cuda" and (number or "0").isdecimal() and int(number or 0) < there):
        return
    if kind != "cuda":
        raise BadInput(f"there is no device {device!r}", "a misspelt name", "--device cpu or --device cuda")
    cause = f"there are {there} GPUs, counted from 0" if there else "no GPU, or a torch without CUDA"
    raise BadInput(f"there is no device {device!r} here", cause, "--device cpu")


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def new_run() -> Path:
    from datetime import datetime

    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [RUNS / stamp, *(RUNS / f"{stamp}-{n}" for n in range(2, 100))]
    return next(path for path in names if not path.exists())


def last_run() -> Path:
    found = sorted(RUNS.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else RUNS / "none"


class Progress:
    """A bar on the terminal, and nothing where there is none."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=total)

    def __call__(self, record: Record) -> None:
        self.step(f"{record.claim} {record.problem}")

    def step(self, description: str, advance: int = 1) -> None:
        """One more is done, or several."""
        self.bar.update(self.task, advance=advance, description=description[:60])

    def __enter__(self) -> None:
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
