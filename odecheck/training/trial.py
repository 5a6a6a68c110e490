"""What one training is: a task at a setting, a model, an optimizer with its knobs, and a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .task import Data, Setting, Task


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        task: what is learnt.
        setting: one of the task's.
        model: one of the task's.
        optimizer: one of `odecheck.training.optimizers.OPTIMIZERS`.
        seed: of parameters, batches and noise.
        rate: the learning rate; None for the setting's.
        knobs: others of the optimizer than its default ones, by name. Trainings of a run that differ in them differ in
            the rate as well.
    """

    task: Task
    setting: Setting
    model: str
    optimizer: str
    seed: int
    rate: float | None = None
    knobs: tuple[tuple[str, float], ...] = ()

    @property
    def learning_rate(self) -> float:
        """Its own, or the setting's for its optimizer."""
        return self.setting.rate[self.optimizer] if self.rate is None else self.rate

    @property
    def name(self) -> str:
        """Its name in a run's folder: different for trials of one task and setting that differ."""
        drawn = "-drawn" if self.knobs else ""
        return f"{self.model}-{self.optimizer}-{self.learning_rate:g}{drawn}-{self.seed}"


def steps_of(setting: Setting, data: Data) -> int:
    """How many steps a training at this setting has."""
    return setting.epochs * math.ceil(len(data.train[0]) / setting.batch)
