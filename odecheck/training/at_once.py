"""Several trainings of a run at once: by processes here, which go on from their checkpoints, or by a cluster."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from odecheck.runner.elsewhere import in_executor, result_of
from odecheck.runner.pool import Job, in_processes

from .loop import train
from .rows import Row, Unit
from .task import Data
from .trial import Trial


@dataclass(frozen=True)
class Crew:
    """Who trains.

    Attributes:
        workers: processes of this computer, at a time.
        executor: of a cluster, in place of them: each training begins and ends there, and comes back as a whole.
    """

    workers: int = 1
    executor: Executor | None = None

    def train(
        self, todo: Sequence[Trial], data: Data, units: Path, device: str, every: float, cap: float = math.inf
    ) -> Iterator[tuple[Trial, Row | None]]:
        """Train, each in a process of its own but for one worker, and no two in one.

        Args:
            todo: what is trained.
            data: the task's rows.
            units: the folder with a folder for each training.
            device: torch's name of the device that computes.
            every: seconds of training between two checkpoints.
            cap: CPU seconds after which one is stopped.

        Yields:
            (trial, row) as they come, and (trial, None) when a trial has ended.

        Raises:
            BadInput: as `odecheck.training.loop.train`; a process that died.
        """
        how = data, device, every, cap, torch.get_num_threads()
        if self.executor is None and self.workers <= 1:
            for trial in todo:
                for row in train(trial, data, units / trial.name, device, every, cap):
                    yield trial, row
                yield trial, None
        elif self.executor is None:
            jobs = [Job(trial, _here, (trial, units / trial.name, *how)) for trial in todo]
            for trial, found in in_processes(jobs, self.workers):
                yield trial, result_of(trial.name, found)
        else:
            yield from _on_a_cluster(self.executor, todo, units, how)


ALONE = Crew()


def _here(
    trial: Trial, folder: Path, data: Data, device: str, every: float, cap: float, threads: int
) -> Iterator[Row | None]:
    """In a process of its own: the rows of a training as they come, and None at its end."""
    torch.set_num_threads(threads)
    yield from train(trial, data, folder, device, every, cap)
    yield None


def _on_a_cluster(
    executor: Executor, todo: Sequence[Trial], units: Path, how: tuple[Any, ...]
) -> Iterator[tuple[Trial, Row | None]]:
    left = list[Trial]()
    for trial in todo:
        unit = Unit(units / trial.name)
        if unit.ended:
            yield from ((trial, row) for row in unit.rows)
            yield trial, None
        else:
            left.append(trial)
    for trial, found in in_executor(executor, [Job(trial, _there, (trial, *how)) for trial in left]):
        _put(units / trial.name, result_of(trial.name, found))
        yield from ((trial, row) for row in Unit(units / trial.name).rows)
        yield trial, None


def _there(trial: Trial, data: Data, device: str, every: float, cap: float, threads: int) -> dict[str, bytes]:
    """In a process of its own on some computer: the files that a training leaves, by name."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="odecheck") as place:
        for _ in train(trial, data, Path(place) / trial.name, device, every, cap):
            pass
        return {file.name: file.read_bytes() for file in (Path(place) / trial.name).iterdir()}


def _put(folder: Path, files: dict[str, bytes]) -> None:
    """The folder of a training that has ended, whole or not at all, in the place of one that has not."""
    coming = folder.parent.parent / f"{folder.name}.coming"
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(parents=True)
    for name, content in files.items():
        (coming / name).write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    coming.replace(folder)
